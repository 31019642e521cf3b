-- Schemas of PostgreSQL databases: options, large catalogs, tables whose examples take long. The texts themselves are
-- compared in tests/golden/mschema_postgresql.lua.
local t = require "tests.check"
local sq = require "sqlune"
local servers = require "tests.servers"

local function refused(code, pattern, ok, message, got)
  t.eq(ok, nil)
  t.eq(got, code, message)
  t.ok(message:find(pattern), message)
end

return {
  ["options"] = function()
    local at = servers.new("postgresql", "options", [[
      CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20) DEFAULT 'x', at TIMESTAMPTZ);
      INSERT INTO item VALUES (1, 'pen', '2024-01-31 12:00+00');
      CREATE VIEW cheap AS SELECT id FROM item;
      CREATE SCHEMA other; CREATE TABLE other.thing (id INT PRIMARY KEY, item INT REFERENCES public.item);
      CREATE TABLE hidden (id INT); INSERT INTO hidden VALUES (7); REVOKE pg_read_all_data FROM reader;
      GRANT SELECT ON item TO reader; GRANT USAGE ON SCHEMA other TO reader;
    ]], { timezone = "Asia/Kolkata" })
    local schema, message = sq.schema.read(at)
    servers.script(at, "GRANT pg_read_all_data TO reader")
    t.ok(schema, message)
    t.eq(schema:text(), "【DB_ID】 options\n【Schema】\n# Table: hidden\n[\n(id:INTEGER)\n]\n# Table: item\n[\n"
      .. "(id:INTEGER, Primary Key, Examples: [1]),\n(name:VARCHAR, Examples: [pen]),\n"
      .. "(at:TIMESTAMP, Examples: [2024-01-31 17:30:00+05:30])\n]")
    local views = assert(sq.schema.read(at, { view_support = true, include_tables = { "cheap" }, db_id = "x" }))
    t.eq(views:text(), "【DB_ID】 x\n【Schema】\n# Table: cheap\n[\n(id:INTEGER, Examples: [1])\n]")
    local other = assert(sq.schema.read(at, { schema = "other" }))
    t.ok(other:text():find("# Table: other.thing\n[\n(id:INTEGER, Primary Key),\n(item:INTEGER)\n]", 1, true))
    refused("SQLUNE_NOTFOUND", "options: there is no schema 'o''ther'", sq.schema.read(at, { schema = "o''ther" }))
    refused("SQLUNE_NOTFOUND", "there is no table 'itm'", sq.schema.read(at, { include_tables = { "itm" } }))
    at.database = "nowhere"
    refused("SQLUNE_DB", '"nowhere" does not exist', sq.schema.read(at))
  end,

  ["ten thousand columns"] = function()
    local parts = {}
    for i = 1, 20 do
      local columns = {}
      for k = 1, 500 do columns[k] = ("c%03d INT"):format(k) end
      parts[i] = ("CREATE TABLE t%02d (%s)"):format(i, table.concat(columns, ", "))
    end
    local at = servers.new("postgresql", "wide", table.concat(parts, ";"))
    local started = sq.sys.clock()
    local schema = assert(sq.schema.read(at))
    t.ok(sq.sys.clock() - started < 20, "it takes too long")
    t.eq(select(2, schema:text():gsub("%(c%d%d%d:INTEGER%)", "")), 10000)
  end,

  ["tables whose examples take long"] = function()
    local at = servers.new("postgresql", "slow", [[
      CREATE TABLE big AS SELECT i % 7 AS a, md5(i::text) AS b FROM generate_series(1, 1100000) i; ANALYZE big;
      CREATE VIEW endless AS SELECT count(*) AS n FROM generate_series(1, 100000000000);
      CREATE TABLE locked (id INT, name TEXT); INSERT INTO locked VALUES (1, 'x');
    ]])
    local started = sq.sys.clock()
    local schema = assert(sq.schema.read(at, { example_seconds = 0.05, view_support = true }))
    t.ok(sq.sys.clock() - started < 20, "it takes too long")
    local columns = sq.schema.parse(schema:text()).tables[1].columns
    t.eq({ #columns[1].examples, #columns[2].examples }, { 3, 0 }) -- 32 characters are too long to print
    t.ok(#sq.json.decode(schema:json()).tables.big.fields.b.examples == 5)
    local hold = servers.quoted "BEGIN; LOCK TABLE locked; SELECT pg_sleep(2)"
    os.execute(("psql -X -q -h %s -p %d -U postgres -d slow -c %s >/dev/null &"):format(at.socket, at.port, hold))
    t.ok(servers.wait(("psql -X -q -h %s -p %d -U postgres -d slow -c %s"):format(at.socket, at.port,
      servers.quoted "SELECT 1 / count(*) FROM pg_locks WHERE relation = 'locked'::regclass"), 5))
    schema = assert(sq.schema.read(at, { example_seconds = 0.05, include_tables = { "locked" } }))
    t.ok(schema:text():find("[\n(id:INTEGER),\n(name:TEXT)\n]", 1, true), schema:text())
  end,
}
