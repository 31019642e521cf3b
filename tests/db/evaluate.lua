-- The evaluator: verdicts, limits, deadlines, broken databases, many workers.
local t = require "tests.check"
local sq = require "sqlune"

local evaluate = sq.evaluate
local null = sq.json.null
local endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t"

local function shop()
  local path = t.tmpdir() .. "/shop.sqlite"
  assert(sq.db.create(path, [[
    CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
    INSERT INTO item VALUES (1, 'pen', 1.5), (2, 'ink', 4), (3, 'pad', NULL);
  ]]))
  return path
end

---Verdict of one pair of statements.
local function judge(path, gold, pred, more)
  local o = { items = { { db = path, gold = gold, pred = pred } } }
  for key, value in pairs(more or {}) do o[key] = value end
  return evaluate.run(o)[1]
end

---All tables of small numbers of this shape, so that equality can be tried against its plain definition.
local function random_table(rng, rows, columns, values)
  local list = {}
  for r = 1, rows do
    list[r] = {}
    for c = 1, columns do list[r][c] = rng(values) end
  end
  return list
end

local function bag_key(rows, order)
  local keys = {}
  for r, row in ipairs(rows) do
    local cells = {}
    for i, c in ipairs(order) do cells[i] = row[c] end
    keys[r] = table.concat(cells, ",")
  end
  table.sort(keys)
  return table.concat(keys, ";")
end

---The plain definition: every permutation of the second's columns is tried.
local function equal_by_trying(a, b, columns)
  local identity = {}
  for i = 1, columns do identity[i] = i end
  local wanted = bag_key(a, identity)
  local function try(order, at)
    if at > columns then return bag_key(b, order) == wanted end
    for i = at, columns do
      order[at], order[i] = order[i], order[at]
      if try(order, at + 1) then return true end
      order[at], order[i] = order[i], order[at]
    end
    return false
  end
  return try(identity, 1)
end

return {
  ["five verdicts"] = function()
    local path = shop()
    local outcomes = evaluate.run { timeout = 0.2, samples = 2, items = {
      { db = path, gold = "SELECT name FROM item", pred = "SELECT name FROM item ORDER BY id DESC" },
      { db = path, gold = "SELECT name FROM item", pred = "SELECT price FROM item" },
      { db = path, gold = "SELECT name FROM item", pred = "SELECT nam FROM item" },
      { db = path, gold = "SELECT name FROM item", pred = endless },
      { db = path, gold = "SELECT nam FROM item", pred = "SELECT name FROM item" },
    } }
    local verdicts = {}
    for i, o in ipairs(outcomes) do verdicts[i] = o.verdict end
    t.eq(verdicts, { "correct", "wrong", "error", "timeout", "gold_error" })
    t.eq(outcomes[2].pred_sample, { columns = { "price" }, rows = { { 1.5 }, { 4.0 } }, total = 3 })
    t.eq(outcomes[1].pred_sample, nil)
    t.ok(outcomes[3].pred_error:find "nam", outcomes[3].pred_error)
    t.eq(outcomes[4].pred_code, "SQLUNE_TIMEOUT")
    t.eq(outcomes[4].executable, false)
    t.eq({ outcomes[5].gold_code, outcomes[5].executable }, { "SQLUNE_DB", true })
    t.eq(outcomes[1].gold_rows, 3)
  end,

  ["what counts as equal"] = function()
    local path = shop()
    local function verdict(gold, pred)
      local o = judge(path, gold, pred)
      return { o.ex, o.ex_bird }
    end
    t.eq(verdict("SELECT 1, 2", "SELECT 2, 1"), { true, false }, "columns may be swapped")
    t.eq(verdict("SELECT 1 UNION ALL SELECT 1", "SELECT 1"), { false, true }, "repetitions count in ex")
    t.eq(verdict("SELECT 1", "SELECT 1.0"), { true, true })
    t.eq(verdict("SELECT 9007199254740993", "SELECT 9007199254740992.0"), { false, false })
    t.eq(verdict("SELECT '1'", "SELECT 1"), { false, false })
    t.eq(verdict("SELECT x'61'", "SELECT 'a'"), { false, false })
    t.eq(verdict("SELECT NULL", "SELECT NULL"), { true, true })
    t.eq(verdict("SELECT 1 WHERE 0", "SELECT 1, 2 WHERE 0"), { true, true }, "no rows are no rows")
  end,

  ["permutations: the search agrees with trying them all"] = function()
    local seed = 12345
    local function rng(n)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed // 65536 % n
    end
    local equal = 0
    for round = 1, 1500 do
      local columns = 1 + rng(5)
      local rows, values = 1 + rng(6), 1 + rng(3)
      local a = random_table(rng, rows, columns, values)
      local b = random_table(rng, rows, columns, values)
      if round % 2 == 0 then -- the same table, rotated both ways; sometimes with one cell changed
        local turn, shift = rng(columns), rng(rows)
        for r = 1, rows do
          for c = 1, columns do b[r][c] = a[(r + shift - 1) % rows + 1][(c + turn - 1) % columns + 1] end
        end
        if rng(3) == 0 then b[1 + rng(rows)][1 + rng(columns)] = rng(values) end
      end
      local wanted = equal_by_trying(a, b, columns)
      t.eq(evaluate.compare(a, b).ex, wanted, "round " .. round)
      if wanted then equal = equal + 1 end
    end
    t.ok(equal > 300 and equal < 1200, equal)
  end,

  ["twenty columns that cannot be told apart by their values"] = function()
    local a, b, c = {}, {}, {}
    for r = 1, 20 do
      a[r], b[r], c[r] = {}, {}, {}
      for k = 1, 20 do
        a[r][k] = (r + k) % 20                  -- a Latin square
        b[r][k] = (r + (k * 7) % 20) % 20       -- its columns in another order
        c[r][k] = (r * (k % 2 == 0 and 1 or 3) + k) % 20 -- the same values in each column, other rows
      end
    end
    local seconds = t.least(0.1, function()
      t.eq(evaluate.compare(a, b).ex, true)
      t.eq(evaluate.compare(a, c).ex, false)
    end)
    t.ok(seconds < 0.1, seconds)
  end,

  ["cells of other databases"] = function()
    local function same(x, y) return evaluate.compare({ { x } }, { { y } }).ex end
    t.ok(same({ decimal = "1.50" }, 1.5))
    t.ok(same({ decimal = "1E+2" }, 100))
    t.ok(not same({ decimal = "0.1" }, 0.1), "a double is not a tenth")
    t.ok(same({ decimal = "9007199254740993.0" }, 9007199254740993))
    t.ok(same({ decimal = "Infinity" }, math.huge))
    t.ok(not same({ decimal = "NaN" }, { decimal = "NaN" }))
    t.ok(same(true, 1) and same(false, 0.0) and not same(true, "true"))
    t.ok(same(10 ^ 16, 10000000000000000) and not same(2.0 ^ 63, math.maxinteger))
    t.ok(same({ datetime = "2020-01-31 10:05:06+00:00" }, { datetime = "2020-01-31 12:05:06.000+02:00" }))
    t.ok(not same({ datetime = "2020-01-31 10:05:06" }, { datetime = "2020-01-31 10:05:06+00:00" }))
    t.ok(not same({ date = "2020-01-31" }, "2020-01-31"))
    t.ok(same(null, null) and not same(null, "") and not same(0 / 0, 0 / 0))
    t.fails(function() evaluate.compare({ { 1, 2 }, { 1 } }, {}) end, "row 2 has 1 cells, row 1 has 2")
    t.fails(function() evaluate.compare({ { print } }, {}) end, "a cell cannot be a function")
    t.fails(function() evaluate.compare({ 1 }, {}) end, "row 1 must be a list")
  end,

  ["writes neither win nor stay"] = function()
    local path = shop()
    local before = assert(sq.fs.sha256(path))
    for _, pred in ipairs {
      "DELETE FROM item", "CREATE TEMP TABLE item AS SELECT * FROM item WHERE 0", "DROP TABLE item",
      "PRAGMA case_sensitive_like = 1", "ATTACH ':memory:' AS m", "UPDATE item SET name = 'x'",
    } do
      local outcomes = evaluate.run { workers = 1, items = {
        { db = path, gold = "SELECT name FROM item WHERE 0", pred = pred },
        { db = path, gold = "SELECT name FROM item WHERE name LIKE 'P%'",
          pred = "SELECT name FROM item WHERE id IN (1, 3)" },
      } }
      t.eq({ outcomes[1].verdict, outcomes[1].pred_code }, { "error", "SQLUNE_DENIED" }, pred)
      t.eq(outcomes[2].verdict, "correct", "after " .. pred)
    end
    t.eq(assert(sq.fs.sha256(path)), before)
  end,

  ["databases that are none"] = function()
    local dir = t.tmpdir()
    assert(sq.fs.write(dir .. "/text.sqlite", ("not a database at all "):rep(100)))
    assert(sq.fs.write(dir .. "/empty.sqlite", ""))
    for _, path in ipairs { dir .. "/absent.sqlite", dir .. "/text.sqlite", dir, "/dev/null", "" } do
      local o = judge(path, "SELECT 1", "SELECT 1")
      t.eq(o.verdict, "gold_error", path)
      t.ok(#o.gold_error > 5, o.gold_error)
    end
    t.eq(judge(dir .. "/empty.sqlite", "SELECT 1", "SELECT 1").verdict, "correct")
    t.eq(judge({ dialect = "sqlite", path = shop() }, "SELECT 1", "SELECT 1").verdict, "correct")
    local o = evaluate.run { items = { { missing = "no database 'x'", gold = "SELECT 1", pred = "SELECT 1" } } }
    t.eq({ o[1].verdict, o[1].gold_error }, { "gold_error", "no database 'x'" })
  end,

  ["limits on rows and bytes"] = function()
    local path = shop()
    local many = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t LIMIT 5000) SELECT x FROM t"
    local o = judge(path, "SELECT 1", many, { max_rows = 1000 })
    t.eq({ o.verdict, o.pred_code, o.executable }, { "error", "SQLUNE_LIMIT", false })
    o = judge(path, "SELECT 1", many, { max_bytes = 10000 })
    t.eq({ o.verdict, o.pred_code }, { "error", "SQLUNE_LIMIT" })
    o = judge(path, many, "SELECT 1", { max_rows = 1000 })
    t.eq({ o.verdict, o.gold_code }, { "gold_error", "SQLUNE_LIMIT" })
  end,

  ["many items, few databases, several workers: order and shared gold"] = function()
    local paths, items = {}, {}
    for d = 1, 12 do -- more than a worker keeps open
      paths[d] = t.tmpdir() .. "/d.sqlite"
      assert(sq.db.create(paths[d], ("CREATE TABLE n (v); INSERT INTO n VALUES (%d);"):format(d)))
    end
    for i = 1, 600 do
      local d = i * 7 % 12 + 1
      items[i] = { db = paths[d], gold = "SELECT v FROM n", pred = ("SELECT %d"):format(i % 2 == 0 and d or 0) }
    end
    local seen = 0
    local outcomes = evaluate.run { items = items, workers = 4, progress = function(done, total)
      t.ok(done >= seen and total == 600)
      seen = done
    end }
    for i, o in ipairs(outcomes) do t.eq(o.verdict, i % 2 == 0 and "correct" or "wrong", i) end
    t.eq(seen, 600)
  end,

  ["closing cancels what runs"] = function()
    local path, items = shop(), {}
    for i = 1, 8 do items[i] = { db = path, gold = "SELECT 1", pred = endless } end
    local started = sq.sys.clock()
    local pool = sq.evaluator.start { items = items, workers = 2, timeout = 60 }
    t.eq(pool:step(0.1), 0)
    t.eq(pool:outcome(1), nil)
    pool:close()
    t.ok(sq.sys.clock() - started < t.grace(1), sq.sys.clock() - started)
    t.fails(function() pool:step() end, "closed")
  end,

  ["deadlines hold on every worker"] = function()
    local path, items = shop(), {}
    for i = 1, 6 do items[i] = { db = path, gold = "SELECT 1", pred = endless .. (" LIMIT %d"):format(i) } end
    local started = sq.sys.clock()
    local outcomes = evaluate.run { items = items, workers = 2, timeout = 0.2 }
    for i, o in ipairs(outcomes) do t.eq(o.verdict, "timeout", i) end
    local spent = sq.sys.clock() - started
    t.ok(spent > 0.55 and spent < t.grace(1.2), spent)
  end,

  ["misuse"] = function()
    t.fails(function() evaluate.run { items = { { db = 1, gold = "", pred = "" } } } end, "'db' must be a path")
    t.fails(function() evaluate.run { items = { { db = "x", gold = 1, pred = "" } } } end, "'gold' must be a string")
    t.fails(function() evaluate.run { items = { 1 } } end, "item")
    t.fails(function() sq.evaluator.start { items = {}, wrokers = 1 } end, "unknown option 'wrokers'")
    t.eq(evaluate.run { items = {} }, {})
  end,

  ["summary and interval"] = function()
    local function outcome(verdict, bird)
      return { verdict = verdict, ex_bird = bird, executable = verdict ~= "error" }
    end
    local all, groups = evaluate.summary({
      outcome("correct", true), outcome("wrong", true), outcome("error", false), outcome("gold_error", false),
    }, { "a", "a", "b", "b" })
    t.eq({ all.items, all.scored, all.correct, all.gold_error }, { 4, 3, 1, 1 })
    t.near(all.ex, 100 / 3, 1e-9)
    t.near(all.ex_bird, 200 / 3, 1e-9)
    t.near(all.executable, 200 / 3, 1e-9)
    t.eq({ groups[1].name, groups[1].ex, groups[2].name, groups[2].ex }, { "a", 50.0, "b", 0.0 })
    -- Quantiles of the binomial distribution with n = 155, p = 137/155 at 2.5% and 97.5%.
    local low, high = evaluate.interval(137, 155)
    t.near(low, 100 * 129 / 155, 1e-9)
    t.near(high, 100 * 144 / 155, 1e-9)
    t.eq({ evaluate.interval(5, 5) }, { 100.0, 100.0 })
    t.fails(function() evaluate.interval(2, 1) end, "interval wants")
  end,
}
