-- M-Schema of a PostgreSQL database of 200 tables: read and printed here, the whole `sqlune mschema`, and the original.
-- sqlune tests/bench/mschema_postgresql.lua [PYTHON FOLDER]: PYTHON has the original's packages (SQLAlchemy, psycopg2,
-- llama_index), FOLDER is its XiYan-SQLTraining/data.
package.path = "./?.lua;" .. package.path
local servers = require "tests.servers"
local sq = require "sqlune"

local TABLES, ROWS, ROUNDS = 200, 1000, 5

---Ten columns of different types, two foreign keys, comments, an index, a unique key.
local function script()
  local parts = {}
  for i = 1, TABLES do
    local name = ("table_%03d"):format(i)
    -- a tree: long chains of keys stop the original
    local parent = i > 1 and ("REFERENCES table_%03d"):format(math.max(1, i // 5)) or ""
    parts[#parts + 1] = ([[
      CREATE TABLE NAME (id INT PRIMARY KEY, parent_id INT PARENT, code VARCHAR(20) UNIQUE, title TEXT,
        price NUMERIC(10, 2), born DATE, at TIMESTAMPTZ, ok BOOL, weight FLOAT8, kind CHAR(3) DEFAULT 'abc');
      INSERT INTO NAME SELECT i, i, 'code ' || i, 'the title ' || i % 50, i / 7.0, date '2000-01-01' + i, now(),
        i % 2 = 0, i / 3.0, 'k' || i % 9 FROM generate_series(1, ROWS) i;
      CREATE INDEX ON NAME (title, kind);
      COMMENT ON TABLE NAME IS 'what NAME holds'; COMMENT ON COLUMN NAME.price IS 'in euros';
    ]]):gsub("NAME", name):gsub("PARENT", parent):gsub("ROWS", tostring(ROWS))
  end
  parts[#parts + 1] = "VACUUM ANALYZE"
  return table.concat(parts, "\n")
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function timed(fn)
  local times = {}
  fn()
  for i = 1, ROUNDS do
    local start = sq.sys.clock()
    fn()
    times[i] = sq.sys.clock() - start
  end
  return median(times)
end

local function lines(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do out[#out + 1] = line:gsub(",$", "") end
  table.sort(out)
  return table.concat(out, "\n")
end

local place = servers.new("postgresql", "bench", script())
local url = ("postgresql://reader@/bench?host=%s&port=%d"):format(place.socket, place.port)
local text
print(("%d tables, %d columns, %d rows each; medians of %d"):format(TABLES, 10 * TABLES, ROWS, ROUNDS))
print(("%-44s %8.3f s"):format("read and print", timed(function()
  local db <close> = assert(sq.db.open(place))
  text = assert(sq.schema.read(db, { db_id = "bench" })):text()
end)))
print(("%-44s %8.3f s"):format("sqlune mschema, whole process", timed(function()
  assert(os.execute(("%s mschema '%s' >/dev/null"):format(arg[-1], url)))
end)))
local python, original = arg[1], arg[2]
if not original then return end
local address = url:gsub("^postgresql:", "postgresql+psycopg2:")
local seconds, theirs = require "tests.bench.original"(python, original, { address }, ROUNDS, function(command)
  print(("%-44s %8.3f s"):format("the original, whole process", timed(function() assert(os.execute(command)) end)))
end)
print(("%-44s %8.3f s"):format("the original, its database part", seconds))
print(lines(text) == lines(theirs) and "the same lines" or "DIFFERENT TEXTS")
