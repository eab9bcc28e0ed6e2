#!/usr/bin/env python3
"""A small shop's day: the program that `make run` measures.

Orders arrive as JSON, are parsed, indexed by words, booked into an in-memory
SQLite database, reported on, and mostly forgotten. It allocates all the time,
in every size, and keeps some of it: what a server does. The result depends on
SEED only and is printed at the end.

    PYTHONMALLOC=malloc almacen run --compare -- python3 examples/orders.py
"""

import collections
import json
import random
import sqlite3
import sys

SEED = 1
ORDERS_PER_BATCH = 800
BATCHES = 140
KEPT_BATCHES = 30

WORDS = """almond anchor apple barrel basket bean bell bottle box brush candle
carpet chain chair cheese clock cloth coffee copper crate cup drum feather
fig flour glass glove grain hammer honey iron jar kettle lamp leather lemon
linen mirror nail needle oil olive onion paper pepper pin plate rice rope
salt sand saw seed silk soap spade sugar table tea thread tile wax wheat
wine wood wool""".split()


def make_order(rng, number):
    lines = [
        {
            "item": " ".join(rng.choices(WORDS, k=rng.randint(1, 4))),
            "count": rng.randint(1, 40),
            "cents": rng.randint(10, 90_000),
        }
        for _ in range(min(int(rng.expovariate(0.25)) + 1, 60))
    ]
    return {"order": number, "customer": rng.randrange(2_000), "lines": lines}


def index_words(orders):
    index = collections.defaultdict(list)
    for order in orders:
        for line in order["lines"]:
            for word in line["item"].split():
                index[word].append((order["order"], line["count"]))
    return index


def book(database, orders):
    with database:
        database.executemany(
            "INSERT INTO line VALUES (?, ?, ?, ?, ?)",
            (
                (order["order"], order["customer"], line["item"],
                 line["count"], line["cents"])
                for order in orders
                for line in order["lines"]
            ),
        )
        database.execute(
            'DELETE FROM line WHERE "order" < ?',
            (orders[-1]["order"] - KEPT_BATCHES * ORDERS_PER_BATCH,),
        )


def report(database):
    return database.execute(
        "SELECT customer, sum(count * cents) AS total FROM line "
        "GROUP BY customer ORDER BY total DESC LIMIT 5"
    ).fetchall()


def main():
    rng = random.Random(SEED)
    database = sqlite3.connect(":memory:")
    database.execute(
        'CREATE TABLE line ("order" INT, customer INT, item TEXT, '
        "count INT, cents INT)"
    )
    database.execute('CREATE INDEX line_order ON line ("order")')
    kept = collections.deque(maxlen=KEPT_BATCHES)
    turnover = 0
    for batch in range(BATCHES):
        first = batch * ORDERS_PER_BATCH
        message = json.dumps(
            [make_order(rng, first + i) for i in range(ORDERS_PER_BATCH)]
        )
        orders = json.loads(message)
        index = index_words(orders)
        book(database, orders)
        turnover += report(database)[0][1]
        # A report's text grows piece by piece, as texts do.
        lines = []
        for word, uses in sorted(index.items()):
            lines.append(f"{word}: " + ", ".join(f"{n}x{k}" for n, k in uses))
        kept.append((message, index, "\n".join(lines)))
    size = sum(len(text) for _, _, text in kept)
    print(f"{BATCHES * ORDERS_PER_BATCH} orders, best customers' turnover "
          f"{turnover / 100:.2f}, {size} characters of reports kept")


if __name__ == "__main__":
    sys.exit(main())
