#!/bin/bash
# The sqlite3 shell: tables, indexes, joins, sorts, triggers, window functions,
# JSON, a file with a vacuum, and an out-of-memory by its own limit.
. "$(dirname "$0")/lib.sh"
need sqlite3

cat >work.sql <<'END'
pragma cache_size = -20000;
create table a (k integer primary key, v text, n integer, b blob);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 60000)
insert into a select i, printf('%d-%s', i * 7919 % 10007,
  substr('abcdefghijklmnopqrstuvwxyz', 1 + i % 20)), i * 31 % 977,
  zeroblob(i % 300) from c;
create index a_v on a (v);
create index a_n on a (n, v);
create table log (t text);
create trigger a_del after delete on a begin
  insert into log values (old.v || old.k); end;
delete from a where k % 7 = 0;
update a set v = v || hex(b) where n < 50;
select count(*), sum(length(v)), sum(length(b)) from a;
select n, count(*), max(v) from a group by n order by count(*) desc, n limit 9;
select x.k, y.k from a x join a y on x.v = y.v and x.k < y.k order by 1, 2
  limit 5;
select sum(r) from (select row_number() over (partition by n order by v) r
  from a);
select length(group_concat(v, ',')) from a;
select json_array_length(json_group_array(json_object('k', k, 'v', v))) from a;
select count(*), max(t) from log;
select length(replace(hex(zeroblob(3000000)), '00', 'xyz'));
drop index a_v;
vacuum;
pragma integrity_check;
END
compare "sqlite3, in memory" 25 sqlite3 :memory: ".read work.sql"
# shellcheck disable=SC2016
compare "sqlite3, in a file" 25 sh -c \
  'rm -f f.db; sqlite3 f.db ".read work.sql" && sqlite3 f.db .dump | cksum'
exit 0
