#!/bin/bash
# Smaller clients, each printing the same on ours as on Debian's libgc: nix,
# asymptote, parser3, mmv, debfoster, fauhdlc. What is not installed is left
# out, with a note.
. "$(dirname "$0")/libgc.sh"
HOME=$work
export HOME
tested=

# client PROGRAM -- true when it is installed; it must run on ours, then.
client() {
  if ! command -v "$1" >/dev/null 2>&1; then
    note "$1 is not installed: left out"
    return 1
  fi
  need_client "$1"
  tested="$tested $1"
}

if client nix-instantiate; then
  cat >large.nix <<'END'
let
  range = first: last: if first > last then [ ] else
    builtins.genList (n: first + n) (last - first + 1);
  fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2);
  sum = builtins.foldl' (a: b: a + b) 0;
  named = builtins.listToAttrs (map (i: {
    name = "n${toString i}";
    value = { inherit i; text = "text ${toString (i * i)}"; self = named; };
  }) (range 1 20000));
  fix = f: let x = f x; in x;
  primes = n: builtins.filter
    (p: builtins.all (d: d * d > p || p - (p / d) * d != 0) (range 2 40))
    (range 2 n);
in {
  fib = fib 20;
  sum = sum (map (i: named."n${toString i}".i) (range 1 20000));
  knot = named.n1.self.n2.self.n20000.text;
  sorted = builtins.length (builtins.sort (a: b: a.text < b.text)
    (builtins.attrValues named));
  last = builtins.foldl' (a: i: a // { "k${toString (i - (i / 50) * 50)}" = i; })
    { } (range 1 5000);
  primes = builtins.length (primes 1500);
  string = builtins.stringLength
    (builtins.concatStringsSep "," (map toString (range 1 20000)));
  json = builtins.fromJSON (builtins.toJSON (range 1 3000)) == range 1 3000;
  text = builtins.replaceStrings [ "a" "b" ] [ "bb" "c" ] "abcabc";
  split = builtins.length (builtins.split "([0-9])" (toString (range 1 3000)));
  fix = (fix (self: { a = self.b + 1; b = 41; })).a;
  hash = builtins.hashString "sha256" (toString (range 1 3000));
}
END
  for options in "--strict" "--strict --json" "--strict --xml"; do
    # shellcheck disable=SC2086
    compare_gc "nix, $options" 20 \
      nix-instantiate --eval --store dummy:// $options large.nix
  done
  compare_gc "nix parses" 20 nix-instantiate --parse large.nix
fi

if client asy; then
  cat >picture.asy <<'END'
int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
write(fib(18));
real[][] rows;
for (int i = 0; i < 300; ++i) {
  rows[i] = new real[300];
  for (int j = 0; j < 300; ++j) rows[i][j] = i * j;
}
real total = 0;
for (real[] row : rows) total += sum(row);
write(total);
string text = "";
for (int i = 0; i < 2000; ++i) text += string(i);
write(length(text));
path p = (0, 0);
for (int i = 1; i < 2000; ++i) p = p -- (i, i % 7);
write(length(p)); write(arclength(p));
struct node { node next; int value; }
node head;
for (int i = 0; i < 20000; ++i) {
  node n; n.value = i; n.next = head; head = n;
}
int count = 0;
for (node n = head; count < 20000; ++count) n = n.next;
write(count);
size(100);
draw(unitcircle);
fill(scale(0.5) * unitsquare, red);
for (int i = 0; i < 300; ++i) draw((0, 0) -- dir(i), gray(i / 300));
shipout("picture");
END
  compare_gc "asymptote" 30 sh -c 'asy -f eps -noV picture.asy &&
    grep -v "^%%\(CreationDate\|Creator\)" picture.eps'
fi

if client parser3; then
  cat >page.p <<'END'
@main[]
$table[^hash::create[]]
^for[i](1;5000){$table.[k$i][^i.format[%05d]]}
$n(0)
^for[i](1;5000){^if($table.[k$i] == $i){^n.inc[]}}
$n of ^table._count[]
$list[^for[i](1;3000){$i,}]
^list.length[]
$parts[^list.split[,]]
^parts.count[]
$changed[^list.match[9(\d)][g]{<$match.1>}]
^changed.length[]
^list.upper[]
^fib(15)
$squares[^hash::create[]]
^for[i](1;2000){$squares.$i[$.value($i * $i)]}
^squares.foreach[k;v]{$v.value }
@fib[n][result]
^if($n < 2){$result($n)}{$result(^fib($n-1) + ^fib($n-2))}
END
  compare_gc "parser3" 20 parser3 page.p
fi

if client mmv; then
  # 500 names moved by patterns, twice.
  compare_gc "mmv" 20 sh -c 'rm -rf names && mkdir names &&
    for i in $(seq 500); do : >"names/file$i.old"; done &&
    mmv "names/file*.old" "names/#1-new.txt" &&
    mmv "names/?*-new.*" "names/#3.#1#2" && ls names'
fi

if client debfoster; then
  # A status file of 2,000 packages that depend on each other.
  awk 'BEGIN {
    for (i = 0; i < 2000; i++) {
      printf "Package: p%d\nStatus: install ok installed\nPriority: optional\n",
        i
      printf "Section: misc\nMaintainer: m\nArchitecture: all\nVersion: 1\n"
      printf "Depends: p%d, p%d | p%d\n", i * 7 % 2000, i * 13 % 2000, i + 1
      printf "Description: package %d\n\n", i
    }
  }' >status
  for question in "-d p5" "-e p700" "-p p3" "-r p11" "-s"; do
    # shellcheck disable=SC2086
    compare_gc "debfoster $question" 20 debfoster -n -c /dev/null \
      -o DpkgStatus="$work/status" -o DpkgAvailable="$work/status" \
      -o KeeperFile="$work/keepers" $question
  done
fi

if client fauhdlc; then
  awk 'BEGIN {
    for (i = 0; i < 150; i++) {
      printf "entity e%d is end entity;\narchitecture a of e%d is\n", i, i
      for (j = 0; j < 20; j++)
        printf "  signal s%d : integer := %d + %d * 3;\n", j, i, j
      printf "begin\n  p : process\n    variable v : integer := %d;\n", i
      printf "  begin\n    for k in 0 to 10 loop v := v + k; end loop;\n"
      for (j = 0; j < 20; j++) printf "    s%d <= v + s%d;\n", j, (j + 1) % 20
      printf "    wait;\n  end process;\nend architecture;\n"
    }
  }' >design.vhd
  # It walks sets ordered by address: order and numbers differ by themselves.
  compare_gc "fauhdlc" 30 sh -c \
    'fauhdlc --freestanding -o design.out design.vhd &&
     tr -d 0-9 <design.out | sort'
fi

[ -n "$tested" ] || skip "none of the clients is installed"
exit 0
