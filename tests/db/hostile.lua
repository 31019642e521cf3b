-- Statements without end whose values fit the limit on length (corpus.lua has those that do not), and statements that
-- take long to compile: none outlives its deadline by 0.2 s.
local t = require "tests.check"
local sq = require "sqlune"

local DEADLINE, GRACE = 0.3, t.grace(0.2) -- seconds

local function counting(limit)
  local bound = limit and " LIMIT " .. limit or ""
  return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n" .. bound .. ") "
end

---A text of a million zeros, as `h` of the table `z`.
local LONG = "WITH z AS MATERIALIZED (SELECT hex(zeroblob(500000)) AS h) "

---Common table expressions that each use the one before twice.
local function doubling(levels, body)
  local parts = { "a0 AS (SELECT 1 AS x)" }
  for i = 1, levels do parts[#parts + 1] = ("a%d AS (%s)"):format(i, (body:gsub("@", "a" .. i - 1))) end
  return "WITH " .. table.concat(parts, ", ") .. " SELECT 1 FROM a" .. levels
end

---Without end, or nearly: timeout or limit, whichever comes first, and soon.
local endless = {
  counting() .. "SELECT count(*) FROM n",
  counting() .. "SELECT * FROM n",
  counting() .. "SELECT max(i) FROM n WHERE i < 0",
  counting() .. "SELECT group_concat(i) FROM n",
  counting() .. "SELECT json_group_array(i) FROM n",
  counting() .. "SELECT DISTINCT i % 7 FROM n",
  counting() .. "SELECT i, zeroblob(10000) FROM n ORDER BY random()",
  counting() .. "SELECT randomblob(1000000) FROM n",
  counting() .. "SELECT sum(length(hex(randomblob(500000)))) FROM n",
  counting() .. "SELECT 1 WHERE EXISTS (SELECT 1 FROM n WHERE i < 0)",
  counting() .. "SELECT (SELECT count(*) FROM n), 1",
  counting(1000000) .. "SELECT count(*) FROM n a, n b WHERE a.i + b.i = 0",
  counting(1000000) .. "SELECT sum(i) OVER (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING "
    .. "EXCLUDE CURRENT ROW) FROM n",
  counting(60000) .. ", j AS MATERIALIZED (SELECT json_group_array(i) AS o FROM n) "
    .. "SELECT count(*) FROM j, json_each(j.o) a, json_each(j.o) b",
  "WITH RECURSIVE n(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM n) SELECT length(s) FROM n",
  "WITH RECURSIVE n(s) AS (SELECT 'x' UNION SELECT s || 'x' FROM n) SELECT count(*) FROM n",
  "SELECT count(*) FROM " .. ("item, "):rep(40) .. "item",
  "SELECT * FROM " .. ("item, "):rep(40) .. "item",
  "SELECT count(*) FROM item " .. ("NATURAL JOIN item "):rep(70),
  "SELECT count(*) FROM " .. ("(SELECT * FROM item UNION ALL SELECT * FROM item), "):rep(25) .. "item",
  "SELECT zeroblob(1000000000)", "SELECT randomblob(1000000000)", "SELECT hex(zeroblob(900000))",
  "SELECT printf('%.*c', 1000000000, 'x')", "SELECT printf('%1000000000d', 1)",
  "SELECT replace(hex(zeroblob(400000)), '0', hex(zeroblob(400000)))",
  "SELECT " .. ("length(printf('%.*c', 900000, 'x')), "):rep(600) .. "1",
  "SELECT " .. ("length(hex(zeroblob(500000))) + "):rep(400) .. "0 FROM item",
  LONG .. "SELECT h LIKE '%' || substr(h, 1, 9000) || '1%' FROM z",
  LONG .. "SELECT h LIKE '%' || replace(substr(h, 1, 3000), '0', '%0_') || '1%' FROM z, item, item, item, item, item",
  LONG .. "SELECT h GLOB '*' || substr(h, 1, 9000) || '1*' FROM z",
  LONG .. "SELECT length(trim(h || '2', replace(substr(h, 1, 400000), '0', '1') || '0')) FROM z",
  LONG .. "SELECT sum(instr(a.h, substr(b.h, 1, 400000) || '1')) FROM z a, z b, " .. ("item, "):rep(12) .. "item",
  LONG .. "SELECT sum(length(replace(z.h, '0', '1'))) FROM z, " .. ("item, "):rep(12) .. "item",
  LONG .. "SELECT count(*) FROM z a, z b, " .. ("item, "):rep(12) .. "item WHERE a.h = b.h COLLATE NOCASE",
  doubling(30, "SELECT 1 AS x FROM @, @ LIMIT 2"), doubling(30, "SELECT p.x FROM @ p JOIN @ q"),
  doubling(60, "SELECT DISTINCT x FROM @ UNION SELECT x FROM @"),
  doubling(30, "SELECT (SELECT x FROM @) + (SELECT x FROM @) AS x"),
  "SELECT " .. ("("):rep(5000) .. "1" .. (")"):rep(5000),
  "SELECT " .. ("1 + "):rep(5000) .. "1",
  "SELECT 1 " .. ("UNION ALL SELECT 1 "):rep(1000),
  "SELECT " .. ("x,"):rep(200000) .. "x",
}

local function small()
  local folder = t.tmpdir()
  assert(sq.db.create(folder .. "/a.sqlite", [[
    CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
    CREATE INDEX item_name ON item (name);
    CREATE VIEW cheap AS SELECT * FROM item WHERE price < 2;
    CREATE TRIGGER item_gone AFTER DELETE ON item BEGIN SELECT 1; END;
    INSERT INTO item VALUES (1, 'pen', 1.5), (2, 'ink', 4), (3, 'cap', 0.5);
  ]]))
  return folder, folder .. "/a.sqlite"
end

---Runs all statements on one connection; the file, its folder and the connection must stay as they were.
local function run_all(statements, check)
  local folder, path = small()
  local before = assert(sq.fs.sha256(path))
  local db <close> = assert(sq.db.open(path))
  for _, sql in ipairs(statements) do
    local took, result, message, code = t.least(DEADLINE + GRACE, function()
      return db:query(sql, { timeout = DEADLINE })
    end)
    local shown = #sql > 150 and sql:sub(1, 150) .. " …" or sql
    t.ok(took < DEADLINE + GRACE, ("%.2f s for %s"):format(took, shown))
    check(shown, result, message, code)
  end
  t.eq(sq.fs.list(folder), { "a.sqlite" })
  t.eq(sq.fs.sha256(path), before)
  t.eq(assert(db:query "SELECT count(*), sum(price) FROM item").rows, { { 3, 6.0 } })
end

return {
  ["what does not end is ended"] = function()
    local ended = 0
    run_all(endless, function(sql, result, message, code)
      if result then return end -- some are quick enough on some machines; none may be late
      ended = ended + 1
      t.ok(code == "SQLUNE_TIMEOUT" or code == "SQLUNE_LIMIT" or code == "SQLUNE_DB", sql .. ": " .. message)
    end)
    t.ok(ended >= 30, ended .. " ended")
  end,

  ["a view over JSON works, whoever asks first"] = function()
    local path = t.tmpdir() .. "/view.sqlite"
    assert(sq.db.create(path, "CREATE TABLE a (list TEXT); INSERT INTO a VALUES ('[4, 5]'); "
      .. "CREATE VIEW parts AS SELECT e.value FROM a, Json_Tree(a.list) AS e WHERE e.type = 'integer'; "
      .. "CREATE VIEW plain AS SELECT list FROM a"))
    local db <close> = assert(sq.db.open(path))
    t.eq(assert(db:query "SELECT sum(value) FROM parts").rows, { { 9 } })
    t.eq(assert(db:query "SELECT count(*) FROM plain").rows, { { 1 } })
  end,

  ["harmless statements of the same kind work"] = function()
    local _, path = small()
    local db <close> = assert(sq.db.open(path))
    local function value(sql) return assert(db:query(sql)).rows[1][1] end
    t.eq(value "SELECT sum(value) FROM json_each('[1, 2, 3]')", 6)
    t.eq(value "SELECT sum(value) FROM JSON_EACH('[1, 2, 3]')", 6)
    t.eq(value(counting(1000) .. "SELECT sum(i) FROM n"), 500500)
    t.eq(value "SELECT count(*) FROM cheap", 2)
    t.eq(value "SELECT count(*) FROM sqlite_master", 4)
    t.eq(value(doubling(8, "SELECT x FROM @ UNION SELECT x FROM @")), 1)
    t.eq(value "WITH t AS (SELECT 1 AS as_many, 'a AS (b)' AS s) SELECT as_many FROM t", 1)
    t.ok(#assert(db:query "EXPLAIN QUERY PLAN SELECT * FROM item").rows > 0)
  end,
}
