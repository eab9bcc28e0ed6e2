"""bench/inputs.py -- inputs of the real programs that are generated.

The same arguments give the same text on every machine, so the same work.
"""

import random


def sql(rows):
  """A session of the sqlite3 shell: a little shop, all in memory."""
  lines = [
      "PRAGMA temp_store=MEMORY;",
      "CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, city TEXT);",
      "CREATE TABLE sale(id INTEGER PRIMARY KEY, customer INT, item TEXT,"
      " cents INT, note TEXT);",
      "BEGIN;",
      f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE"
      f" i<{rows // 10}) INSERT INTO customer SELECT i,"
      " printf('customer %d %s', i, hex(i*7919)), 'city' || (i % 97) FROM n;",
      f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE"
      f" i<{rows}) INSERT INTO sale SELECT i, (i*7919) % {rows // 10} + 1,"
      " 'item' || (i*31 % 1009), i*i % 10007,"
      " substr(hex(i*104729) || printf('%0*d', 10 + i % 90, i), 1,"
      " 20 + i % 80) FROM n;",
      "COMMIT;",
      "CREATE INDEX sale_customer ON sale(customer);",
      "CREATE INDEX sale_item ON sale(item, cents);",
      "SELECT city, count(*), sum(cents) FROM customer JOIN sale ON"
      " sale.customer = customer.id GROUP BY city ORDER BY 3 DESC LIMIT 5;",
      "SELECT length(group_concat(note, '+')) FROM sale WHERE cents < 500;",
      "SELECT item, count(DISTINCT customer) c FROM sale GROUP BY item"
      " ORDER BY c DESC, item LIMIT 5;",
      "UPDATE sale SET note = note || upper(item) WHERE id % 3 = 0;",
      "DELETE FROM sale WHERE id % 5 = 1;",
      "SELECT count(*), sum(length(note)) FROM sale;",
      "SELECT json_group_array(json_object('n', name, 'c', city)) IS NOT NULL"
      " FROM customer;",
  ]
  # Many short statements: parsing and planning allocate most.
  rnd = random.Random(1)
  for i in range(rows // 12):
    who = rnd.randrange(1, rows // 10)
    if i % 4 == 0:
      lines.append(f"INSERT INTO sale VALUES(NULL,{who},'item{i % 1009}',"
                   f"{i % 999},'{'x' * rnd.randrange(5, 120)}');")
    elif i % 4 == 1:
      lines.append(f"UPDATE customer SET name='renamed {i}' WHERE id={who};")
    else:
      lines.append("SELECT sum(cents) FROM sale s JOIN customer c ON"
                   f" c.id=s.customer WHERE c.id={who} AND s.item>'item5';")
  return "\n".join(lines) + "\n"


def c_source(functions):
  """A C file for the compiler: loops, switches, structs, calls, strings."""
  rnd = random.Random(2)
  out = [
      "#include <stddef.h>",
      "struct shape { double area, edge[4]; int kind; struct shape *next; };",
      "extern int sink(const char *, long);",
  ]
  for i in range(functions):
    a, b = rnd.randrange(3, 99), rnd.randrange(3, 99)
    callee = f"work_{rnd.randrange(i)}(x ^ {a}, s)" if i else "x"
    bodies = [
        f"  for (int i = 0; i < x % {b}; i++) r += (x << (i % 7)) ^ (i * {a});",
        f"  for (struct shape *p = s; p != NULL; p = p->next)\n"
        f"    p->area = p->edge[{i % 4}] * p->edge[{(i + 1) % 4}] + {a}.5;",
        f"  switch (s->kind) {{\n" + "\n".join(
            f"  case {k}: r += sink(\"case {i} {k}\", r * {k + a}); break;"
            for k in range(1 + i % 7)) + f"\n  default: r -= s->kind; }}",
        f"  while (r > {a * b} && x-- > 0) r -= x % {b} == 1 ? {a} : 2;",
        f"  if (x > {a} && s->next) r += {callee};",
    ]
    body = "\n".join(rnd.sample(bodies, 1 + (i % 4 == 0)))
    out.append(f"__attribute__((noinline))\n"
               f"long work_{i}(long x, struct shape *s) {{\n"
               f"  long r = {a};\n{body}\n  return r * {b};\n}}")
  return "\n".join(out) + "\n"


def html(rows):
  """A page for a text browser: a long table, lists, links, entities."""
  rnd = random.Random(3)
  words = ["alder", "birch", "cedar", "elm &amp; ash", "fir", "hazel",
           "<b>larch</b>", "maple", "&ouml;ak", "<i>pine</i>", "rowan"]
  out = ["<html><head><title>A long page</title></head><body>",
         "<h1>A long page</h1>", "<table border=1>",
         "<tr><th>row<th>name<th>what<th>link</tr>"]
  for i in range(rows):
    text = " ".join(rnd.choice(words) for _ in range(2 + i % 9))
    out.append(f"<tr><td align=right>{i}</td><td>{rnd.choice(words)}</td>"
               f"<td>{text}</td><td><a href=\"page{i}.html\">page {i}</a>"
               "</td></tr>")
    if i % 500 == 499:
      out += ["</table>", "<ul>"] + [
          f"<li>{rnd.choice(words)} {k}" for k in range(40)] + [
              "</ul>", "<table border=1>"]
  out.append("</table></body></html>")
  return "\n".join(out) + "\n"
