#!/bin/bash
# git: a repository with history is made, cloned, repacked (threads), checked
# and merged; the objects are the same as without preload.
. "$(dirname "$0")/lib.sh"
need git

GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a
GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE='2024-01-01T00:00:00Z'
GIT_COMMITTER_DATE='2024-01-01T00:00:00Z' GIT_CONFIG_GLOBAL=/dev/null
GIT_CONFIG_SYSTEM=/dev/null HOME=$work
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL \
  GIT_AUTHOR_DATE GIT_COMMITTER_DATE GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM HOME

cat >work.sh <<'END'
set -e
rm -rf origin copy bare
git init -q -b main origin
cd origin
i=0
while [ $i -lt 25 ]; do
  i=$((i + 1))
  mkdir -p d$((i % 5))
  seq $i $((i + 3000)) >d$((i % 5))/file$((i % 9))
  seq -f "%.0f line of $i" 1 $((i * 40)) >>log
  git add -A
  git commit -qm "change $i"
done
git checkout -q -b side HEAD~10
echo side >side.txt && git add -A && git commit -qm side
git checkout -q main
git merge -q --no-edit side
git tag -a -m v1 v1
cd ..
git clone -q --no-local origin copy
git clone -q --bare --no-local origin bare
cd copy
git -c pack.threads=2 gc -q --aggressive --prune=now
git fsck --full --strict
git log --format='%H %s' --stat | cksum
git log -p --all | cksum
git blame log | cksum
git grep -c line HEAD~3 -- log
git archive HEAD | cksum
git -c pack.threads=2 repack -adfq --depth=50 --window=50
git fsck --full
git rev-parse HEAD main
git count-objects -v | grep -E '^(count|in-pack|packs|garbage):'
cd ..
git -C bare rev-parse main
END
compare "git" 30 bash work.sh
