-- Items built from executions: self_refine with its messages, sql2select with clusters, balance and results.
local t = require "tests.check"
local sq = require "sqlune"
local json, build = sq.json, sq.data.build

---A database of 30 rows and files of predictions, one a source.
local function folder(predictions)
  local dir, script = t.tmpdir(), { "CREATE TABLE t(a INTEGER, b TEXT);" }
  for n = 1, 30 do script[n + 1] = ("INSERT INTO t VALUES (%d, 'row %d');"):format(n, n % 7) end
  assert(sq.fs.mkdir(dir .. "/db"))
  assert(sq.db.create(dir .. "/db/d.sqlite", table.concat(script, "\n")))
  local paths = {}
  for source, list in ipairs(predictions) do
    local out = json.array {}
    for n, pred in ipairs(list) do
      out[n] = { db_name = "d", question = "q" .. n, evidence = "e", sql = ("SELECT a FROM t WHERE a = %d"):format(n),
        sql_type = "sqlite", pred_sql = pred }
    end
    paths[source] = ("%s/pred%d.json"):format(dir, source)
    assert(json.write(paths[source], out))
  end
  return dir, paths
end

local function run(task, dir, paths, o)
  o = o or {}
  o.pred, o.db, o.out = paths, dir .. "/db", dir .. "/out/raw.json"
  sq.progress.quiet = true
  local summary, message = build[task](o)
  sq.progress.quiet = false
  return summary, message, summary and not o.dry_run and assert(json.read(o.out))
end

return {
  ["self_refine: what failed, with its message"] = function()
    local dir, paths = folder { {
      "SELECT a FROM t WHERE a = 1", "SELECT c FROM t", "```sql\nSELECT a FROM u\n```", "SELECT a, b FROM t", "",
      "SELECT a FROM t WHERE a = 6;",
    }, { "SELECT x FROM t", "SELECT c FROM t" } }
    local summary, _, list = run("self_refine", dir, paths)
    t.eq(summary.left_out, { right = 2, ["wrong rows"] = 1, empty = 1, twice = 1 })
    t.eq(#list, 3)
    t.eq(list[1], { db_name = "d", question = "q2", evidence = "e", SQL = "SELECT a FROM t WHERE a = 2",
      pred_sql_res = { "SELECT c FROM t", list[1].pred_sql_res[2] } })
    t.ok(list[1].pred_sql_res[2]:find "no such column: c")
    t.eq(list[2].pred_sql_res[1], "SELECT a FROM u")
    t.ok(list[2].pred_sql_res[2]:find "no such table: u")
    summary, _, list = run("self_refine", dir, paths, { wrong = true })
    t.eq({ summary.items, summary.left_out["wrong rows"] }, { 4 })
    t.ok(list[3].pred_sql_res[2]:find "^a | b\n1 | row 1\n.*\n10 | row 3\n%(30 rows%)$", list[3].pred_sql_res[2])
    local made = assert(sq.data.process { raw = dir .. "/out/raw.json", db = dir .. "/db", task = "self_refine",
      out = dir .. "/data" })
    t.eq(made.name, "raw_self_refine")
    t.eq(assert(sq.data.assemble { datasets = made.datasets, out = dir .. "/train.json" }).items, 4)
  end,

  ["sql2select: one right candidate, one of each wrong cluster, balanced"] = function()
    local a, b, c = {}, {}, {}
    for n = 1, 30 do
      a[n] = ("select a from t where a = %d -- right"):format(n)
      b[n] = n % 2 == 0 and ("SELECT a FROM t WHERE a=%d;"):format(n) or "SELECT b FROM t ORDER BY a LIMIT 12"
      c[n] = n % 3 == 0 and "SELECT nothing" or "SELECT a + 100 FROM t WHERE a = 1"
    end
    local dir, paths = folder { a, b, c }
    local summary, _, list = run("sql2select", dir, paths)
    t.eq(summary.left_out, { ["all right"] = 5 })
    t.eq(#list, 25)
    t.ok(math.abs(summary.places[1] - summary.places[2]) <= 2, "places of pairs and triples are each balanced")
    t.ok(summary.sources[2] >= 8 and summary.sources[3] == 0, "the right one comes from either model that has it")
    for _, item in ipairs(list) do
      for i, one in ipairs(item.candidates) do
        t.eq(i == item.answer, one.result == "a\n" .. item.question:match "%d+" .. "\n(1 row)", one.result)
        t.ok(not one.sql:find "[;a]%f[%z]" or not one.sql:find ";", one.sql)
      end
      t.ok(item.candidates[item.answer].sql:find "^SELECT a FROM t WHERE a ?= ?%d+$")
    end
    local _, _, again = run("sql2select", dir, paths)
    t.eq(again, list)
    local long
    for _, one in ipairs(list[1].candidates) do long = one.result:find "%(12 rows%)" and one.result or long end
    t.eq(select(2, long:gsub("\n", "")), 11, "ten rows are shown")
    local made = assert(sq.data.process { raw = dir .. "/out/raw.json", db = dir .. "/db", task = "sql2select",
      out = dir .. "/data" })
    assert(sq.data.assemble { datasets = made.datasets, out = dir .. "/train.json" })
    local one = assert(json.read(dir .. "/train.json"))[1]
    t.eq(one.conversations[2].content, "候选" .. list[1].answer)
  end,

  ["styles of writing go"] = function()
    t.eq(build.plain("select  A, 'select'\nfrom t -- c\nwhere x=1 ; "), "SELECT A, 'select' FROM t WHERE x=1")
  end,

  ["bad input"] = function()
    local dir, paths = folder { { "SELECT a FROM t WHERE a = 1" } }
    local summary, message = run("self_refine", dir, paths)
    t.eq({ summary, message }, { nil, "no item came out" })
    t.ok(not sq.fs.exists(dir .. "/out/raw.json"))
    assert(json.write(paths[1], { { db_name = "d", question = "q", sql = "SELECT 1" } }))
    t.fails(function() return run("self_refine", dir, paths) end, "pred1.json: item 1 .*: 'pred_sql' is missing")
    t.fails(function() return run("sql2select", dir, { dir .. "/none.json" }) end, "none.json")
  end,
}
