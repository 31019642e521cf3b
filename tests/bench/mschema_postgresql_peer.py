"""The original's M-Schema of a PostgreSQL database, for mschema_postgresql.lua: prints the seconds of its database part.

    python mschema_postgresql_peer.py FOLDER URL ROUNDS TEXT

FOLDER is the original's XiYan-SQLTraining/data; TEXT is the file that the last text goes to.
"""
import sys
import time

sys.path.insert(0, sys.argv[1])
from data_utils.schema_engine import SchemaEngine  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402

for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    text = SchemaEngine(engine=create_engine(sys.argv[2]), db_name="bench").mschema.to_mschema()
    print(time.perf_counter() - start)
with open(sys.argv[4], "w", encoding="utf-8") as file:
    file.write(text)
