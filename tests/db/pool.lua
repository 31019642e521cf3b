-- Workers that die, order and ties, several gold statements, several databases, timed rounds, the cache of gold.
local t = require "tests.check"
local sq = require "sqlune"

local evaluate, fs = sq.evaluate, sq.fs
local endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t"

local function shop()
  local path = t.tmpdir() .. "/shop.sqlite"
  assert(sq.db.create(path, [[
    CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
    INSERT INTO item VALUES (1, 'pen', 2), (2, 'ink', 4), (3, 'pad', 2), (4, 'cap', 1), (5, 'box', 2);
  ]]))
  return path
end

local function judge(path, gold, pred, more)
  local o = { items = { { db = path, gold = gold, pred = pred } } }
  for key, value in pairs(more or {}) do o[key] = value end
  return evaluate.run(o)[1]
end

---Processes that this one has started.
local function children()
  local pid = fs.read "/proc/self/stat":match "^%d+"
  local list = {}
  for child in (fs.read(("/proc/%s/task/%s/children"):format(pid, pid)) or ""):gmatch "%d+" do
    list[#list + 1] = child
  end
  return list
end

---Steps until all is done; `meanwhile` is called once, after the first step.
local function run_pool(items, meanwhile, options)
  options.items = items
  local pool <close> = assert(sq.evaluator.start(options))
  local done = pool:step(0.3)
  meanwhile(pool)
  for _ = 1, 200 do
    if done == #items then break end
    done = assert(pool:step(0.1))
  end
  local outcomes = {}
  for i = 1, #items do outcomes[i] = pool:outcome(i) end
  return outcomes, pool:deaths()
end

return {
  ["others may write to a file between its statements"] = function()
    if not os.execute "python3 -c 'import sqlite3' 2>/dev/null" then t.skip "no python3 to write with" end
    local path, items = shop(), {}
    for i = 1, 600 do
      local text = ("WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t LIMIT 5000) "
        .. "SELECT max(x) + %d FROM t, item WHERE id = 1"):format(i)
      items[i] = { db = path, gold = text, pred = text .. " " }
    end
    local script = t.tmpdir() .. "/write.py"
    assert(fs.write(script, [[
import sqlite3, sys, time
db, worst = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None), 0
for i in range(8):
    start = time.monotonic()
    db.execute("UPDATE item SET price = price + 1 WHERE id = 5")
    worst = max(worst, time.monotonic() - start)
    time.sleep(0.02)
print(worst)
]]))
    local writer
    for _, outcome in ipairs(run_pool(items, function()
      writer = io.popen(("python3 '%s' '%s'"):format(script, path))
    end, { workers = 2 })) do
      t.eq(outcome.verdict, "correct", outcome.gold_error or outcome.pred_error)
    end
    local worst = tonumber(writer:read "a")
    writer:close()
    t.ok(worst and worst < 5, "a writer waited " .. tostring(worst))
    local db <close> = assert(sq.db.open(path))
    t.eq(assert(db:query "SELECT price FROM item WHERE id = 5").rows, { { 10.0 } })
  end,

  ["a worker that is killed costs one verdict"] = function()
    local path, items = shop(), {}
    for i = 1, 40 do items[i] = { db = path, gold = "SELECT " .. i, pred = "SELECT " .. i } end
    items[7].pred = endless
    local outcomes, deaths = run_pool(items, function()
      for _, child in ipairs(children()) do os.execute("kill -9 " .. child) end
    end, { workers = 2, timeout = 60 })
    for i, outcome in ipairs(outcomes) do t.eq(outcome.verdict, i == 7 and "error" or "correct", i) end
    t.ok(outcomes[7].pred_error:find "signal 9", outcomes[7].pred_error)
    t.eq({ outcomes[7].executable, outcomes[7].ex }, { false, false })
    t.ok(deaths >= 1 and deaths <= 2, deaths)
  end,

  ["a gold statement that kills its worker is a gold error of its items"] = function()
    local path, items = shop(), {}
    for i = 1, 12 do items[i] = { db = path, gold = "SELECT " .. i, pred = "SELECT " .. i } end
    for i = 3, 5 do items[i].gold = endless end
    local outcomes = run_pool(items, function()
      for _, child in ipairs(children()) do os.execute("kill -SEGV " .. child) end
    end, { workers = 1, timeout = 0.8 })
    for i, outcome in ipairs(outcomes) do
      t.eq(outcome.verdict, i >= 3 and i <= 5 and "gold_error" or "correct", i)
    end
    t.ok(outcomes[3].gold_error:find "signal 11", outcomes[3].gold_error)
  end,

  ["a stopped worker is killed after its deadline"] = function()
    if not os.getenv "SQLUNE_SLOW" then t.skip "takes 20 s: SQLUNE_SLOW=1 runs it" end
    local path = shop()
    local items = { { db = path, gold = "SELECT 1", pred = endless },
      { db = path, gold = "SELECT 2", pred = "SELECT 2" } }
    local outcomes = run_pool(items, function()
      for _, child in ipairs(children()) do os.execute("kill -STOP " .. child) end
    end, { workers = 1, timeout = 1 })
    t.eq({ outcomes[1].verdict, outcomes[2].verdict }, { "timeout", "correct" })
    t.ok(outcomes[1].pred_error:find "deadline", outcomes[1].pred_error)
  end,

  ["no worker outlives its pool"] = function()
    local path, items = shop(), {}
    for i = 1, 8 do items[i] = { db = path, gold = "SELECT 1", pred = endless } end
    local pool = assert(sq.evaluator.start { items = items, workers = 4, timeout = 60 })
    pool:step(0.1)
    t.eq(#children(), 4)
    pool:close()
    t.eq(children(), {})
  end,

  ["order: lists where gold orders, whatever ties"] = function()
    local path = shop()
    local function ordered(gold, pred)
      local o = judge(path, gold, pred)
      return { o.ex, o.ex_ordered, o.ties }
    end
    local gold = "SELECT name FROM item ORDER BY price"
    t.eq(ordered(gold, "SELECT name FROM item ORDER BY price, id"), { true, true })
    t.eq(ordered(gold, "SELECT name FROM item ORDER BY price, id DESC"), { true, true, "within" })
    t.eq(ordered(gold, "SELECT name FROM item ORDER BY price DESC"), { true, false })
    t.eq(ordered("SELECT name FROM item", "SELECT name FROM item ORDER BY price DESC"), { true, true })
    t.eq(ordered("SELECT name, price AS p FROM item ORDER BY p DESC, 1",
      "SELECT price, name FROM item ORDER BY price DESC, name"), { true, true })
    t.eq(ordered("SELECT name, price AS p FROM item ORDER BY p", "SELECT price, name FROM item ORDER BY price, name"),
      { true, true, "within" })
    t.eq(ordered("SELECT name FROM item WHERE id IN (SELECT id FROM item ORDER BY id LIMIT 3)",
      "SELECT name FROM item WHERE id < 4 ORDER BY id DESC"), { true, true }, "the order is not gold's own")
    t.eq(ordered("SELECT price FROM item GROUP BY price ORDER BY count(*) DESC",
      "SELECT price FROM item GROUP BY price ORDER BY count(*) DESC, price"), { true, true, "within" })
    t.eq(ordered("SELECT DISTINCT price FROM item ORDER BY price LIMIT 2",
      "SELECT DISTINCT price FROM item ORDER BY price DESC LIMIT 2"), { false, false })
    t.eq(ordered("SELECT name FROM item ORDER BY price DESC LIMIT 2",
      "SELECT name FROM item ORDER BY price DESC, id DESC LIMIT 2"), { false, false, "cut" })
    t.eq(ordered("SELECT name FROM item ORDER BY price DESC LIMIT 1, 1", "SELECT name FROM item WHERE id = 5"),
      { false, false, "cut" })
    t.eq(ordered("SELECT name FROM item ORDER BY price DESC LIMIT 1", "SELECT name FROM item WHERE id = 5"),
      { false, false }, "nothing ties there")
    t.eq(ordered("SELECT * FROM item ORDER BY price", "SELECT * FROM item ORDER BY price, id DESC"),
      { true, true, "within" })
    t.eq(ordered("SELECT * FROM item ORDER BY price", "SELECT * FROM item ORDER BY price DESC, id"), { true, false })
    t.eq(ordered("SELECT * FROM item ORDER BY 3", "SELECT * FROM item ORDER BY price, id DESC"),
      { true, false, "unknown" })
    t.eq(ordered("SELECT name FROM item UNION SELECT 'pen' ORDER BY substr(name, 2, 1) LIMIT 9",
      "SELECT name FROM item ORDER BY id DESC"), { false, false }, "SQLite refuses such a key")
    t.eq(ordered("SELECT DISTINCT name, price FROM item ORDER BY price COLLATE NOCASE",
      "SELECT name, price FROM item ORDER BY price, name"), { true, true, "within" })
    t.eq(ordered("SELECT DISTINCT name FROM item ORDER BY price", "SELECT name FROM item ORDER BY price DESC"),
      { true, false, "unknown" })
    local union = "SELECT name FROM item UNION SELECT 'PEN'"
    local one = ordered(union .. " ORDER BY 1 COLLATE NOCASE",
      "SELECT * FROM (" .. union .. ") ORDER BY lower(name), name")
    local other = ordered(union .. " ORDER BY 1 COLLATE NOCASE",
      "SELECT * FROM (" .. union .. ") ORDER BY lower(name), name DESC")
    t.eq({ one[2], other[2], one[3] or other[3] }, { true, true, "within" })
    t.eq(ordered(union .. " ORDER BY 1 COLLATE NOCASE", "SELECT * FROM (" .. union .. ") ORDER BY lower(name) DESC"),
      { true, false })
  end,

  ["several gold statements: one is enough"] = function()
    local path = shop()
    local o = judge(path, { "SELECT nam FROM item", "SELECT 1", "SELECT 2" }, "SELECT 2")
    t.eq({ o.verdict, o.reference, o.ex }, { "correct", 3, true })
    o = judge(path, { "SELECT 1, 2", "SELECT 3, 4" }, "SELECT 4, 5")
    t.eq({ o.verdict, o.reference, o.soft_f1 }, { "wrong", 2, 0.5 })
    t.eq(judge(path, { "SELECT x", "SELECT y" }, "SELECT 2").verdict, "gold_error")
  end,

  ["several databases: right on all of them"] = function()
    local a, b = shop(), t.tmpdir() .. "/other.sqlite"
    assert(sq.db.create(b, "CREATE TABLE item (id, name, price); INSERT INTO item VALUES (9, 'cup', 2)"))
    local function on_both(gold, pred)
      return evaluate.run { items = { { dbs = { a, b }, gold = gold, pred = pred } } }[1].verdict
    end
    t.eq(on_both("SELECT name FROM item", "SELECT name FROM item"), "correct")
    t.eq(on_both("SELECT name FROM item WHERE price = 4", "SELECT name FROM item WHERE id = 2"), "correct")
    t.eq(on_both("SELECT max(id) FROM item", "SELECT 5"), "wrong")
  end,

  ["rounds give a reward where the sets of rows are equal"] = function()
    local path = shop()
    local o = judge(path, "SELECT name FROM item", "SELECT name FROM item", { rounds = 30 })
    t.ok(o.reward >= 0 and o.reward <= 1.25 and o.time_ratio >= 0, o.reward)
    t.eq(o.gold_times, nil)
    t.eq(judge(path, "SELECT name FROM item", "SELECT id FROM item", { rounds = 30 }).reward, 0)
    t.eq(evaluate.summary({ { verdict = "correct", reward = 1.25 } }).r_ves, math.sqrt(1.25) * 100)
  end,

  ["gold from the cache: equal, sound or not at all"] = function()
    local path, folder = shop(), t.tmpdir() .. "/cache"
    local options = { cache = folder, digests = { [path] = assert(fs.sha256(path)) }, timeout = 5 }
    assert(fs.mkdir(folder))
    local gold = "SELECT id, name, price, NULL, x'00ff', 1e300, '' FROM item"
    local first = judge(path, gold, gold, options)
    local second = judge(path, gold, gold, options)
    t.eq({ first.verdict, first.gold_cached, second.verdict, second.gold_cached }, { "correct", nil, "correct", true })
    t.eq({ second.gold_seconds, second.gold_rows, second.gold_columns }, { first.gold_seconds, 5, 7 })
    options.timeout = 6
    t.eq(judge(path, gold, gold, options).gold_cached, nil, "other settings are another entry")
    options.timeout = 5
    local entries = {}
    for _, name in ipairs(assert(fs.list(folder))) do
      for _, file in ipairs(assert(fs.list(folder .. "/" .. name))) do
        entries[#entries + 1] = folder .. "/" .. name .. "/" .. file
      end
    end
    t.eq(#entries, 2)
    for _, damage in ipairs { function(s) return s:sub(1, -2) end, function() return "" end,
      function(s) return s:sub(1, 100) .. string.char((s:byte(101) or 0) ~ 1) .. s:sub(102) end,
      function(s) return s .. s end, function() return ("x"):rep(300) end } do
      for _, entry in ipairs(entries) do
        assert(fs.write(entry, damage(assert(fs.read(entry)))))
      end
      local o = judge(path, gold, gold, options)
      t.eq({ o.verdict, o.gold_cached }, { "correct", nil })
      t.eq(judge(path, gold, gold, options).gold_cached, true, "written anew")
    end
    t.eq(judge(path, "SELECT nam FROM item", gold, options).verdict, "gold_error")
    assert(os.execute(("chmod -R a-w %s; rm -rf %s/*"):format(folder, folder)))
    options.cache = "/dev/null/nowhere"
    t.eq(judge(path, gold, gold, options).verdict, "correct", "a cache that cannot be written is none")
  end,
}
