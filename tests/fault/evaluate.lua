-- Fault sweep over sq.evaluator: the workers allocate too.
local sq = require "sqlune"
local sweep = require "tests.sweep"
local t = require "tests.check"

return {
  ["compare"] = function()
    local a = { { 1, "x", sq.json.null }, { 2, { blob = "y" }, 0.5 }, { 3, { decimal = "1.5" }, true } }
    local b = { { 0.5, 2, { blob = "y" } }, { sq.json.null, 1, "x" }, { true, 3, 1.5 } }
    t.eq(sq.evaluator.compare(a, b).ex, true)
    sweep("permuted", function() return sq.evaluator.compare(a, b) end)
    sweep("in order, tolerant", function()
      return sq.evaluator.compare(a, b, { ordered = true, spider_ordered = true, tolerance = 0.1 })
    end)
    local old = { { { json = '{"a": [1, {"b": "c"}], "d": 2}' }, { json = "1.0" }, { array = "[1]" } } }
    local new = { { { json = '{"d":2.0,"a":[1,{"b":"\\u0063"}]}' }, 1, { array = "[1.0]" } } }
    t.eq(sq.evaluator.compare(old, new).ex, true)
    sweep("JSON", function() return sq.evaluator.compare(old, new) end)
    local square, turned = {}, {}
    for r = 1, 6 do
      square[r], turned[r] = {}, {}
      for c = 1, 6 do square[r][c], turned[r][c] = (r + c) % 6, (r - c) % 6 end
    end
    sweep("searched", function() return sq.evaluator.compare(square, turned) end)
  end,

  ["pool"] = function()
    local path = t.tmpdir() .. "/a.sqlite"
    assert(sq.db.create(path, "CREATE TABLE p (name TEXT); INSERT INTO p VALUES ('a'), ('b')"))
    local items = {
      { db = path, gold = "SELECT name FROM p", pred = "SELECT name FROM p" },
      { db = path, gold = "SELECT name FROM p", pred = "SELECT 'a'" },
      { db = path, gold = "SELECT name FROM p", pred = "SELECT nam FROM p" },
      { db = path .. "x", gold = "SELECT 1", pred = "SELECT 1" },
    }
    for _, workers in ipairs { 1, 2 } do
      local count = sweep("run on " .. workers, function()
        local pool <close> = assert(sq.evaluator.start { items = items, workers = workers, samples = 2 })
        while pool:step(5) < #items do end
        for i = 1, #items do pool:outcome(i) end
      end)
      t.ok(count > 30, count)
    end
  end,

  ["workers whose memory is out end the run, with a message"] = function()
    local dir = t.tmpdir()
    local path = dir .. "/a.sqlite"
    assert(sq.db.create(path, "CREATE TABLE p (name TEXT, n REAL); INSERT INTO p VALUES ('a', 1), ('b', 1), ('c', 2)"))
    local items = {
      { db = path, gold = "SELECT name FROM p ORDER BY n", pred = "SELECT name FROM p ORDER BY n, name DESC",
        ordered = true, keyed = "SELECT name, DENSE_RANK() OVER (ORDER BY n) FROM p ORDER BY n" },
      { db = path, pred_db = { path = path, reversed = true }, gold = "SELECT n FROM p", pred = "SELECT name FROM p" },
    }
    local function run()
      local pool <close> = assert(sq.evaluator.start { items = items, workers = 1, samples = 2, rounds = 3,
        tolerance = 0.1, cache = dir, digests = { [path] = "x" } })
      while assert(pool:step(5)) < #items do end
      return pool:outcome(1).ties, pool:outcome(2).verdict
    end
    local failed, last = 0, 0
    for k = 0, 400 do -- a worker counts on from what was left when it was forked
      sq.sys.fail_allocation(k, true)
      local ok, message = pcall(run)
      sq.sys.fail_allocation(-1)
      if not ok then
        t.ok(tostring(message):find "memory", message)
        failed, last = failed + 1, k
      end
    end
    t.ok(failed > 80 and last < 400, failed .. " failed, the last at " .. last)
    t.eq({ run() }, { "within", "wrong" })
  end,
}
