"""The original's M-Schema of databases, for mschema.lua and mschema_postgresql.lua: prints the seconds of each round.

    python mschema_peer.py FOLDER ROUNDS TEXT URLS

FOLDER is the original's XiYan-SQLTraining/data; TEXT is the file that the texts of the last round go to; URLS is a file
with one address a line.
"""
import sys
import time

sys.path.insert(0, sys.argv[1])
from data_utils.schema_engine import SchemaEngine  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402

with open(sys.argv[4], encoding="utf-8") as file:
    urls = file.read().split("\n")[:-1]
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    texts = [SchemaEngine(engine=create_engine(url), db_name="bench").mschema.to_mschema() for url in urls]
    print(time.perf_counter() - start)
with open(sys.argv[3], "w", encoding="utf-8") as file:
    file.write("\n".join(texts))
