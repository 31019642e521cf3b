-- Catalogs and tables that are large: examples in bounded time, ten thousand columns.
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

---Three million rows; `same` has one value, so that no five different ones are ever found; `none` has none.
local rows = 3000000

return {
  ["examples of a table of some million rows"] = function()
    local path = t.tmpdir() .. "/large.sqlite"
    assert(sq.db.create(path, ([[
      CREATE TABLE big (id INTEGER PRIMARY KEY, same TEXT, none TEXT, late TEXT, few INT);
      INSERT INTO big WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT %d)
      SELECT i, 'x', NULL, CASE WHEN i > %d THEN 'end' END, i %% 3 FROM n;]]):format(rows, rows - 5)))
    local started = sq.sys.clock()
    local schema = assert(sq.schema.read(path, { example_seconds = 0.05, db_id = "large" }))
    local took = sq.sys.clock() - started
    -- One column may take its 0.05 s; from then on every column reads the table's first rows only.
    t.ok(took < (os.getenv "SQLUNE_SANITIZED" and 5 or 1), took)
    local text = schema:text()
    t.ok(text:find("(id:INTEGER, Primary Key, Examples: [1, 2, 3])", 1, true), text)
    t.ok(text:find("(same:TEXT, Examples: [x])", 1, true), text)
    t.ok(text:find("(none:TEXT)", 1, true), text)
    t.ok(text:find("(few:INTEGER, Examples: [1, 2, 0])", 1, true), text)
    local whole = assert(sq.schema.read(path, { example_seconds = 60 })) -- with time for all of it
    t.ok(whole:text():find("(late:TEXT, Examples: [end])", 1, true))
  end,

  ["ten thousand columns, SQLite"] = function()
    local path, script = t.tmpdir() .. "/wide.sqlite", {}
    for i = 1, 100 do
      local columns = {}
      for k = 1, 100 do columns[k] = ("column_%d INT"):format(k) end
      script[i] = ("CREATE TABLE t%03d (%s); INSERT INTO t%03d(column_1) VALUES (%d);"):format(i,
        table.concat(columns, ", "), i, i)
    end
    assert(sq.db.create(path, table.concat(script)))
    local started = sq.sys.clock()
    local schema = assert(sq.schema.read(path))
    local parsed = sq.schema.parse(schema:text())
    local took = sq.sys.clock() - started
    t.eq({ #parsed.tables, #parsed.tables[100].columns }, { 100, 100 })
    t.ok(took < (os.getenv "SQLUNE_SANITIZED" and 60 or 10), took)
    t.eq(sq.schema.from_json(schema:json()):text(), schema:text())
  end,

  ["ten thousand columns, MySQL"] = function()
    local script = {}
    for i = 1, 50 do
      local columns = {}
      for k = 1, 200 do columns[k] = ("column_%d INT COMMENT 'c%d'"):format(k, k) end
      script[i] = ("CREATE TABLE t%03d (%s) ENGINE=MyISAM; INSERT INTO t%03d(column_1) VALUES (%d);"):format(i,
        table.concat(columns, ", "), i, i)
    end
    local at = servers.new("mysql", "wide", table.concat(script))
    local started = sq.sys.clock()
    local schema = assert(sq.schema.read(at))
    local took = sq.sys.clock() - started
    local parsed = sq.schema.parse(schema:text())
    t.eq({ #parsed.tables, #parsed.tables[50].columns, parsed.tables[50].columns[1].examples[1] }, { 50, 200, "50" })
    t.ok(took < (os.getenv "SQLUNE_SANITIZED" and 120 or 30), took)
  end,
}
