-- Evaluation on servers: typed cells compare as the values of Python's drivers would; both dialects in one run.
local servers = require "tests.servers"
local t = require "tests.check"
local sq = require "sqlune"

local evaluate = sq.evaluate

---Judges pairs of statements of one database; each pair says whether the results are equal.
local function check(connection, pairs_of)
  local items = {}
  for i, pair in ipairs(pairs_of) do items[i] = { db = connection, gold = pair[1], pred = pair[2] } end
  for i, outcome in ipairs(assert(evaluate.run { items = items, workers = 2 })) do
    local pair = pairs_of[i]
    local what = ("%s | %s %s %s"):format(pair[1], pair[2], outcome.gold_error or "", outcome.pred_error or "")
    t.eq(outcome.verdict, pair[3] and "correct" or "wrong", what)
    if pair.xiyan ~= nil then t.eq(outcome.ex_xiyan, pair.xiyan, what) end
  end
end

return {
  ["PostgreSQL: cells"] = function()
    check(servers.new("postgresql", "cells", "CREATE TABLE a (b int)"), {
      { "SELECT 1.50::numeric", "SELECT 1.5::float8", true },
      { "SELECT 0.1::numeric", "SELECT 0.1::float8", false },
      { "SELECT 1::int2", "SELECT 1.00::numeric", true },
      { "SELECT true", "SELECT 1", true },
      { "SELECT true, 'x'", "SELECT 1, 'x'", true },
      { "SELECT 1, 1.5::float8", "SELECT 1.0::float8, 1.5::float8", true, xiyan = false },
      { "SELECT DATE '2024-01-31'", "SELECT '2024-01-31'", false },
      { "SELECT DATE '2024-01-31'", "SELECT TIMESTAMP '2024-01-31 00:00'", false },
      { "SELECT TIMESTAMP '2024-01-31 12:00'", "SELECT TIMESTAMP '2024-01-31 12:00:00.000'", true },
      { "SELECT TIMESTAMPTZ '2024-01-31 12:00+02'", "SELECT TIMESTAMPTZ '2024-01-31 10:00+00'", true },
      { "SELECT INTERVAL '24 hours'", "SELECT INTERVAL '1 day'", true },
      { "SELECT 'NaN'::float8", "SELECT 'NaN'::float8", false },
      { "SELECT 'Infinity'::float8", "SELECT 'Infinity'::float8", true },
      { "SELECT ARRAY[1,2]", "SELECT ARRAY[1,2]", true, xiyan = false },
      { "SELECT ARRAY[1,2]", "SELECT ARRAY[2,1]", false },
      { "SELECT '{\"a\": 1, \"b\": 2}'::jsonb", "SELECT '{\"b\":2,\"a\":1}'::jsonb", true },
      { "SELECT '{\"a\": 1, \"b\": [2.0]}'::json", "SELECT '{\"b\":[2],\"a\":1}'::jsonb", true, xiyan = false },
      { "SELECT '[1, 2]'::jsonb", "SELECT ARRAY[1, 2]", true, xiyan = false },
      { "SELECT '{\"n\": 1.0}'::jsonb -> 'n'", "SELECT 1", true, xiyan = true },
      { "SELECT '{\"n\": \"x\"}'::jsonb -> 'n'", "SELECT 'x'", true, xiyan = true },
      { "SELECT '{\"n\": null}'::jsonb -> 'n'", "SELECT NULL::text", true },
      { "SELECT ARRAY[1.50, 2]", "SELECT ARRAY[1.5, 2.0]", true },
      { "SELECT ARRAY['1']", "SELECT ARRAY[1]", false },
      { "SELECT NULL::int, 'x'", "SELECT 'x', NULL::text", true },
      { "SELECT 'Nguyễn'::varchar", "SELECT 'Nguyễn'", true },
      { "SELECT '\\x6162'::bytea", "SELECT 'ab'", false },
      { "SELECT generate_series(1, 3) ORDER BY 1", "SELECT generate_series(1, 3) ORDER BY 1 DESC", true },
    })
  end,

  ["MySQL: cells"] = function()
    check(servers.new("mysql", "cells", "CREATE TABLE a (b int)"), {
      { "SELECT CAST(1.5 AS DECIMAL(5,2))", "SELECT 1.5e0", true },
      { "SELECT 1", "SELECT 1.0", true },
      { "SELECT DATE '2024-01-31'", "SELECT '2024-01-31'", false },
      { "SELECT TIMESTAMP '2024-01-31 12:00:00'", "SELECT CAST('2024-01-31 12:00:00.0' AS DATETIME)", true },
      { "SELECT TIME '12:00:00'", "SELECT SEC_TO_TIME(43200)", true },
      { "SELECT 'a' UNION ALL SELECT 'b'", "SELECT 'b' UNION ALL SELECT 'a'", true },
      { "SELECT NULL, 2", "SELECT 2, NULL", true },
      { "SELECT 'a'", "SELECT 'A'", false },
    })
  end,

  ["several dialects in one run, and a prediction on another database"] = function()
    local path = t.tmpdir() .. "/a.sqlite"
    assert(sq.db.create(path, "CREATE TABLE a (b INTEGER); INSERT INTO a VALUES (1), (2)"))
    local postgresql = servers.new("postgresql", "mixed", "CREATE TABLE a (b int); INSERT INTO a VALUES (1), (2)")
    local mysql = servers.new("mysql", "mixed", "CREATE TABLE a (b int); INSERT INTO a VALUES (1), (2)")
    local items = {}
    for i, db in ipairs { path, postgresql, mysql } do
      items[i] = { db = db, gold = "SELECT b FROM a", pred = "SELECT b FROM a ORDER BY b DESC" }
    end
    items[4] = { db = path, pred_db = postgresql, gold = "SELECT b || '' FROM a", pred = "SELECT b::text FROM a" }
    items[5] = { db = postgresql, pred_db = mysql, gold = "SELECT b::float8 / 2 FROM a", pred = "SELECT b / 2 FROM a" }
    for i, outcome in ipairs(assert(evaluate.run { items = items, workers = 2 })) do
      t.eq(outcome.verdict, "correct", ("%d %s %s"):format(i, outcome.gold_error or "", outcome.pred_error or ""))
    end
  end,

  ["check_gold names what servers lack"] = function()
    local gold = require "sqlune.evaluate.gold"
    local items = {}
    for _, connection in ipairs { servers.new("postgresql", "lacking", "CREATE TABLE a (b int)"),
      servers.new("mysql", "lacking", "CREATE TABLE a (b int)") } do
      for _, sql in ipairs { "SELECT b FROM aa", "SELECT bb FROM a", "SELECT b FROM a", "SELECT 1" } do
        items[#items + 1] = { db = connection, gold = sql }
      end
    end
    local words = {}
    for i, one in ipairs(assert(gold.check { items = items })) do words[i] = one.finding end
    t.eq(words, { "missing", "error", "empty", "ok", "missing", "error", "empty", "ok" })
  end,

  ["rows that tie by the server's collation and keys"] = function()
    local setup = "CREATE TABLE word (id int PRIMARY KEY, text varchar(20) @, n int); "
      .. "INSERT INTO word VALUES (1, 'b', 1), (2, 'A', 1), (3, 'a', 2), (4, 'c', 2)"
    local function ordered(at, gold, pred)
      local o = assert(evaluate.run { items = { { db = at, gold = gold, pred = pred, dialect = at.dialect } } })[1]
      return { o.ex, o.ex_ordered, o.ties }, ("%s | %s %s"):format(gold, o.gold_error or "", o.pred_error or "")
    end
    local function is(at, gold, pred, wanted)
      local got, what = ordered(at, gold, pred)
      t.eq(got, wanted, what)
    end
    ---Whichever of the tied rows comes first: one of the two predictions has them the other way round. Unless the
    ---server gave gold's rows in another order the second time, as a new plan may: then it is asked again.
    local function ties(at, gold, pred)
      local one, other, what
      for _ = 1, 5 do
        one, what = ordered(at, gold, pred .. ", id")
        other = ordered(at, gold, pred .. ", id DESC")
        if one[3] or other[3] then break end
      end
      t.eq({ one[2], other[2], one[3] or other[3] }, { true, true, "within" }, what)
    end
    local list = "SELECT text FROM word"
    local mysql = servers.new("mysql", "ties", (setup:gsub("@", "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")))
    ties(mysql, list .. " ORDER BY text", list .. " ORDER BY text") -- 'A' = 'a'
    is(mysql, list .. " ORDER BY BINARY text", list .. " ORDER BY text, id DESC", { true, false })
    local postgresql = servers.new("postgresql", "ties", setup:gsub("@", "")
      .. "; CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    local blind = list .. ' ORDER BY text COLLATE blind'
    ties(postgresql, blind, blind)
    is(postgresql, list .. ' ORDER BY text COLLATE "C"', blind .. ", id DESC", { true, false })
    for _, at in ipairs { mysql, postgresql } do
      ties(at, "SELECT * FROM word ORDER BY n", "SELECT * FROM word ORDER BY n")
      ties(at, "SELECT n, min(id) AS id, count(*) AS c FROM word GROUP BY n ORDER BY c",
        "SELECT * FROM (SELECT n, min(id) AS id, count(*) AS c FROM word GROUP BY n) AS g ORDER BY c")
      is(at, "SELECT n FROM word UNION ALL SELECT 0 ORDER BY 1",
        "SELECT n FROM word UNION ALL SELECT 0 ORDER BY n DESC", { true, false })
      is(at, "SELECT text FROM word ORDER BY n LIMIT 1", "SELECT 'zz'", { false, false, "cut" })
    end
    is(postgresql, "SELECT text FROM word ORDER BY n FETCH FIRST 1 + 0 ROWS ONLY", "SELECT 'zz'", { false, false })
    is(postgresql, "SELECT text FROM word ORDER BY n FETCH FIRST 1 ROW ONLY", "SELECT 'zz'", { false, false, "cut" })
  end,
}
