"""The least that Python needs for eval.lua: both statements of each item run once on cached connections, sets compared.

    python eval_peer.py PREDICTIONS_JSON DATABASE_FOLDER
"""
import json
import os
import sqlite3
import sys

connections = {}


def rows(name, sql):
    if name not in connections:
        path = os.path.join(sys.argv[2], name, name + ".sqlite")
        connections[name] = sqlite3.connect(f"file:{path}?mode=ro", uri=True) if os.path.exists(path) else None
    connection = connections[name]
    return None if connection is None else connection.execute(sql).fetchall()


with open(sys.argv[1], encoding="utf-8") as file:
    items = json.load(file)
correct = 0
for item in items:
    gold = rows(item["db_name"], item["sql"])
    correct += gold is not None and set(gold) == set(rows(item["db_name"], item["pred_sql"]))
assert correct == 972, correct
