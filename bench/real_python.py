"""bench/real_python.py -- a Python program that lives on small objects.

Run with PYTHONMALLOC=malloc, so that every object is a call of malloc.
Argument: rounds. Prints a checksum, the same for every allocator.
"""

import collections
import json
import re
import sys


class Node:

  def __init__(self, key, left, right):
    self.key, self.left, self.right = key, left, right


def tree(depth, key):
  if depth == 0:
    return Node(key, None, None)
  return Node(key, tree(depth - 1, 2 * key), tree(depth - 1, 2 * key + 1))


def total(node):
  return node.key + (total(node.left) + total(node.right) if node.left else 0)


def documents(count, seed):
  for i in range(count):
    n = (i * 7919 + seed) % 10007
    yield {
        "id": i, "name": f"name {n} of {count}", "tags": [str(n % 17)] * 3,
        "price": n / 7, "parts": {f"p{k}": k * n for k in range(n % 9)},
    }


def one_round(seed):
  check = total(tree(16, seed))
  text = json.dumps(list(documents(20000, seed)))
  back = json.loads(text)
  words = collections.Counter(re.findall(r"[a-z]+ ?\d+", text))
  check += sum(words.values()) + sum(len(d["parts"]) for d in back)
  rows = [tuple(str((i * k + seed) % 9973) for k in range(1, 5))
          for i in range(60000)]
  rows.sort()
  index = {}
  for row in rows:
    index.setdefault(row[0], []).append(",".join(row))
  big = 3 ** 2000
  for i in range(9000):
    check += (big * (i + seed)) % 1000003
  return check + sum(len("".join(v)) for v in index.values()), index


def main():
  check, kept = 0, []
  for i in range(int(sys.argv[1])):
    value, index = one_round(i)
    check += value
    kept = kept[-2:] + [index]
  print(check)


main()
