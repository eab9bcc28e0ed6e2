#!/bin/bash
# bash: arrays, strings, command substitution (forks), pipes, here documents.
. "$(dirname "$0")/lib.sh"
cat >work.bash <<'END'
declare -A map
declare -a list
for ((i = 0; i < 30000; i++)); do
  map[k$((i % 700))]+=$i
  list[i % 900]="item $i ${map[k$((i % 700))]: -5}"
  ((i % 500)) || unset "map[k$((i % 700))]"
done
echo ${#map[@]} ${#list[@]} "${list[5]}"
text=$(printf '%s\n' "${list[@]}")
echo ${#text}
echo "${text//item/ITEM}" | sort | tail -n 2
for i in {1..150}; do
  read -r first < <(echo "$i $(echo "sub $i" | tr a-z A-Z)")
  total+=$first
done
echo "$total" | cksum
while read -r line; do lines+=("$line"); done <<<"$text"
echo ${#lines[@]}
f() { local a=("$@"); [ $# -gt 0 ] && f "${a[@]:1}"; }
f {1..200} && echo never
printf -v long '%*s' 5000000 x
echo ${#long} ${#long// /yy}
trap 'echo trapped' EXIT
END
compare "bash" 25 bash work.bash
exit 0
