#!/bin/bash
# perl: hashes, strings, regular expressions, sorting, closures, fork.
. "$(dirname "$0")/lib.sh"
need perl
cat >work.pl <<'END'
use strict; use warnings;
my (%h, @a); my $x = 1;
for my $i (1 .. 300000) {
  $x = ($x * 1103515245 + 12345) % 2147483648;
  push @{$h{$x % 5000}}, "v" x ($x % 50);
  $a[$x % 20000] = { k => $i, t => join(",", 1 .. $x % 10) };
  delete $h{$i % 5000} if $i % 3 == 0;
}
my $sum = 0;
$sum += length join "", @$_ for values %h;
print "$sum ", scalar(keys %h), "\n";
my $text = join " ", map { $_ ? $_->{t} : "-" } @a;
(my $other = $text) =~ s/(\d),(\d)/$2;$1/g;
my @sorted = sort { $a cmp $b } split / /, $other;
print length($text), " ", length($other), " $sorted[0] $sorted[-1]\n";
my @subs = map { my $n = $_; sub { return $n * shift } } 1 .. 10000;
my $total = 0; $total += $_->(3) for @subs;
print "$total\n";
$| = 1;
for my $n (1 .. 10) {
  my $pid = open(my $pipe, "-|") // die;
  if (!$pid) { my @m = map { "c" x $_ } 1 .. 2000; print scalar(@m) + $n; exit }
  print <$pipe>, "\n"; close $pipe;
}
my $big = "x"; $big .= $big for 1 .. 24;
print length($big), "\n";
END
compare "perl" 25 perl work.pl
exit 0
