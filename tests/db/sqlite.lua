-- SQLite connections: what they read, what they refuse, when they stop.
local t = require "tests.check"
local sq = require "sqlune"

local function small()
  local path = t.tmpdir() .. "/a.sqlite"
  assert(sq.db.create(path, [[
    CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, data BLOB);
    INSERT INTO item VALUES (1, 'pen', 1.5, x'00ff'), (2, 'größe', NULL, NULL), (3, 'a' || char(0) || 'b', -0.0, x'');
  ]]))
  return path
end

local function opened(path)
  local db, message = sq.db.open(path)
  return assert(db, message)
end

---Expects nil, a message that matches, and the code.
local function refused(code, pattern, ok, message, got)
  t.eq(ok, nil)
  t.eq(got, code, message)
  t.ok(message:find(pattern), message)
end

return {
  ["values of every type"] = function()
    local db <close> = opened(small())
    local r = assert(db:query "SELECT id, name, price, data FROM item ORDER BY id")
    t.eq(r.columns, { "id", "name", "price", "data" })
    t.eq(#r.rows, 3)
    t.eq(r.rows[1], { 1, "pen", 1.5, { blob = "\0\xff" } })
    t.eq(math.type(r.rows[1][1]), "integer")
    t.eq(r.rows[2][2], "größe")
    t.eq(r.rows[2][3], r.rows[2][4])
    t.eq(type(r.rows[2][3]), "userdata")
    t.eq(r.rows[3][2], "a\0b")
    t.eq(r.rows[3][4], { blob = "" })
    t.ok(tostring(r):find "größe", tostring(r))
  end,

  ["one statement"] = function()
    local db <close> = opened(small())
    for _, sql in ipairs { "SELECT 1;", "SELECT 1; -- c", "SELECT 1 /* x", "SELECT 1; /* x */ \f\n", ";SELECT 1" } do
      t.eq(assert(db:query(sql)).rows, { { 1 } }, sql)
    end
    for _, sql in ipairs { "SELECT 1;;", "SELECT 1; SELECT 2", "SELECT 1;\v", "SELECT 1;\u{a0}" } do
      refused("SQLUNE_DENIED", "more than one", db:query(sql))
    end
    for _, sql in ipairs { "", " ", ";", "-- x", "/* x */" } do refused("SQLUNE_DB", "empty", db:query(sql)) end
    refused("SQLUNE_DB", "NUL", db:query "SELECT 1\0")
    refused("SQLUNE_DB", "UTF%-8", db:query "SELECT '\xff'")
    refused("SQLUNE_DB", "parameters", db:query "SELECT ?")
    refused("SQLUNE_DB", "no such column: nope", db:query "SELECT nope FROM item")
  end,

  ["writes are denied"] = function()
    local path = small()
    local db <close> = opened(path)
    for _, sql in ipairs {
      "DROP TABLE item", "DELETE FROM item", "UPDATE item SET id = 9", "INSERT INTO item(id) VALUES (7)",
      "CREATE TABLE x(a)", "CREATE TEMP TABLE x(a)", "CREATE VIEW v AS SELECT 1", "ATTACH 'x.db' AS x", "VACUUM",
      "VACUUM INTO 'x.db'", "BEGIN", "COMMIT", "SAVEPOINT a", "PRAGMA journal_mode=WAL", "PRAGMA table_info(item)",
      "SELECT * FROM pragma_table_info('item')", "ANALYZE", "REINDEX", "SELECT load_extension('x')", "DETACH main",
      "ALTER TABLE item ADD x", "WITH a AS (SELECT 1) INSERT INTO item(id) SELECT 8",
    } do
      local ok, message, code = db:query(sql)
      t.eq(ok, nil, sql)
      t.eq(code, "SQLUNE_DENIED", sql .. ": " .. message)
    end
  end,

  ["limits and deadlines"] = function()
    local db <close> = opened(small())
    refused("SQLUNE_LIMIT", "2 rows", db:query("SELECT * FROM item", { max_rows = 2 }))
    t.eq(#assert(db:query("SELECT * FROM item", { max_rows = 3 })).rows, 3)
    refused("SQLUNE_LIMIT", "bytes", db:query("SELECT hex(zeroblob(1000))", { max_bytes = 1000 }))
    refused("SQLUNE_LIMIT", "too big", db:query "SELECT zeroblob(1000000000)")
    local endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    local took = t.least(0.5, function() refused("SQLUNE_TIMEOUT", "time", db:query(endless, { timeout = 0.3 })) end)
    t.ok(took >= 0.3 and took < 0.5, took)
  end,

  ["files that are no database"] = function()
    local folder = t.tmpdir()
    local file = assert(io.open(folder .. "/text", "w"))
    file:write(("not a database "):rep(100)):close()
    refused("SQLUNE_FORMAT", "text: not an SQLite database", sq.db.open(folder .. "/text"))
    refused("SQLUNE_NOTFOUND", "missing: No such file", sq.db.open(folder .. "/missing"))
    refused("SQLUNE_FORMAT", "not a file", sq.db.open(folder))
    refused("SQLUNE_IO", "exists already", sq.db.create(folder .. "/text", ""))
    refused("SQLUNE_DB", "syntax error", sq.db.create(folder .. "/new", "CREATE TABLE x(a); CREATE TABLE ("))
    refused("SQLUNE_NOTFOUND", "new", sq.db.open(folder .. "/new"))
    t.fails(function() sq.db.open { path = "x", pat = 1 } end, "unknown option 'pat'")
    t.fails(function() sq.db.open { path = "x", dialect = "oracle" } end, "oracle")
  end,

  ["a journal of a writer that died"] = function()
    local path = small()
    local header = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" .. (">I4I4I4I4I4"):pack(1, 1, 2, 512, 4096)
    local page = (">I4"):pack(1) .. ("\0"):rep(4096) .. (">I4"):pack(0)
    assert(sq.fs.write(path .. "-journal", header .. ("\0"):rep(512 - #header) .. page))
    refused("SQLUNE_DB", "a.sqlite: a journal of an interrupted writer", sq.db.open(path))
    assert(sq.fs.remove(path .. "-journal"))
    opened(path):close()
  end,
}
