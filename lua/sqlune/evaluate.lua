-- Execution accuracy: gold and predicted SQL run, judged and summed up. The worker processes are sq.evaluator's (C);
-- the definitions of the metrics and of the verdicts stand in docs/metrics.md.
local evaluator = require "sqlune.core".evaluator
local order = require "sqlune.evaluate.order"
local rves = require "sqlune.evaluate.rves"
local summary = require "sqlune.evaluate.summary"

local M = {}

---Compares two results given as lists of rows. A cell is a number, string, boolean, json.null, {blob = bytes}, or a
---server's text: {decimal=}, {date=}, {time=}, {datetime=}, {interval=}, {array=}, {json=}.
---@param gold any[][]
---@param pred any[][]
---@param o? sqlune.evaluate.CompareOpts
---@return sqlune.evaluate.Metrics
function M.compare(gold, pred, o)
  return evaluator.compare(gold, pred, o)
end

---@class sqlune.evaluate.Item
---@field db? string|table|(string|table)[]  a SQLite file, a connection table, or `dbs`
---@field dbs? (string|table)[]  in place of `db`: right is what is right on all of them
---@field pred_db? string|table where the prediction runs, if not on `db`
---@field gold string|string[]   several statements: right is what equals one of them
---@field pred string
---@field missing? string        why there is no `db`: the item is a gold error with this message
---@field dialect? string        of both statements, default sqlite

---@class sqlune.evaluate.Opts
---@field items sqlune.evaluate.Item[]
---@field workers? integer    processes; default one a processor
---@field timeout? number     seconds a statement, default 30
---@field max_rows? integer   of one result; more are an error
---@field max_bytes? integer  of one result; more are an error
---@field samples? integer    rows kept of both results where the verdict is not correct, default 0
---@field rounds? integer     how often both statements are timed for r_ves where ex_bird holds; default 0: no r_ves
---@field tolerance? number   relative, of numbers, for ex, ex_bird, ex_ordered and soft_f1; default 0: none
---@field cache? string       folder of gold results; needs `digests`
---@field digests? table<string|table, string>  of the contents of each `db` whose gold may be cached
---@field done? table<integer, sqlune.evaluate.Outcome>  items that were judged before: not run again
---@field progress? fun(done: integer, total: integer)    called about ten times a second
---@field finished? fun(item: integer, outcome: sqlune.evaluate.Outcome)  called as items are judged

---@class sqlune.evaluate.Outcome: sqlune.evaluate.Metrics
---@field verdict "correct"|"wrong"|"error"|"timeout"|"gold_error"
---@field executable boolean
---@field ties? "within"|"cut"|"unknown"  the order among rows that tie in gold's ORDER BY: see docs/metrics.md
---@field reward? number        of r_ves
---@field time_ratio? number    of r_ves: gold's time / the prediction's
---@field gold_cached? boolean  gold's result comes from the cache
---@field gold_error? string
---@field gold_code? string
---@field pred_error? string
---@field pred_code? string
---@field gold_seconds? number
---@field pred_seconds? number
---@field gold_rows? integer
---@field pred_rows? integer
---@field gold_columns? integer
---@field pred_columns? integer
---@field reference? integer    which of several gold statements decided
---@field gold_sample? { columns: string[], rows: any[][], total: integer }
---@field pred_sample? { columns: string[], rows: any[][], total: integer }

local METRICS = { "ex", "ex_bird", "ex_ordered", "ex_xiyan", "ex_spider" }

local function without_database(item)
  local outcome = { verdict = "gold_error", executable = false, soft_f1 = 0.0, gold_error = item.missing,
    gold_code = "SQLUNE_NOTFOUND" }
  for _, name in ipairs(METRICS) do outcome[name] = false end
  return outcome
end

---What the pool runs of one pair of statements on one database.
local function task_of(item, gold, db)
  local task = { db = db, pred_db = item.pred_db, gold = gold, pred = item.pred }
  if type(gold) ~= "string" then return task end -- the pool says what is wrong
  if gold == item.pred then
    task.ordered = order.orders(gold, item.dialect)
  else
    task.ordered, task.keyed = order.of(gold, item.dialect)
  end
  return task
end

---Tasks of all items that must run, and which tasks belong to which item: places[i][gold][db].
local function plan(o)
  local tasks, places, owners = {}, {}, {}
  for i, item in ipairs(o.items) do
    if not item.missing and not (o.done and o.done[i]) then
      local golds = type(item.gold) == "table" and item.gold or { item.gold }
      places[i] = { open = 0 }
      for g, gold in ipairs(golds) do
        places[i][g] = {}
        for d, db in ipairs(item.dbs or { item.db }) do
          tasks[#tasks + 1] = task_of(item, gold, db)
          places[i][g][d], owners[#tasks] = #tasks, i
          places[i].open = places[i].open + 1
        end
      end
    end
  end
  return tasks, places, owners
end

---One outcome of the same statements on several databases: right is what is right everywhere.
local function on_all(list)
  local worst = list[1]
  for i = 2, #list do
    if worst.verdict == "correct" and list[i].verdict ~= "correct" then worst = list[i] end
  end
  for _, outcome in ipairs(list) do
    for _, name in ipairs(METRICS) do worst[name] = worst[name] and outcome[name] end
    worst.soft_f1 = math.min(worst.soft_f1, outcome.soft_f1)
    worst.executable = worst.executable and outcome.executable
  end
  return worst
end

---Among several gold statements the one that fits best decides: correct, then ran, then anything but a gold error.
local function better(a, b)
  local function rank(o)
    return o.verdict == "correct" and 3 or o.verdict == "wrong" and 2 or o.verdict == "gold_error" and 0 or 1
  end
  if rank(a) ~= rank(b) then return rank(a) > rank(b) end
  return a.soft_f1 > b.soft_f1
end

local function of_any(list)
  local best, at = list[1], 1
  for i = 2, #list do
    if better(list[i], best) then best, at = list[i], i end
  end
  for _, outcome in ipairs(list) do
    for _, name in ipairs(METRICS) do best[name] = best[name] or outcome[name] end
    best.soft_f1 = math.max(best.soft_f1, outcome.soft_f1)
  end
  if #list > 1 then best.reference = at end
  return best
end

---Times of the rounds to a reward; the times themselves go.
local function add_reward(outcome)
  outcome.reward, outcome.time_ratio = rves.reward(outcome.gold_times or {}, outcome.pred_times or {}, outcome.ex_bird)
  outcome.gold_times, outcome.pred_times = nil, nil
end

local function outcome_of(pool, golds, rounds)
  local list = {}
  for g, databases in ipairs(golds) do
    local here = {}
    for d, task in ipairs(databases) do here[d] = pool:outcome(task) end
    if #here == 0 then here[1] = without_database { missing = "there are no databases" } end
    list[g] = #here == 1 and here[1] or on_all(here)
    if rounds > 0 then add_reward(list[g]) end
  end
  return #list == 1 and list[1] or of_any(list)
end

---Runs and judges all items. ^C cancels what runs and raises; a server that cannot be reached any more ends the run
---with nil and a message. What was judged until then went through `finished`.
---@param o sqlune.evaluate.Opts
---@return sqlune.evaluate.Outcome[]? outcomes  one for each item, in their order
---@return string? message
---@return string? code
function M.run(o)
  local outcomes, judged = {}, 0
  for i, item in ipairs(o.items) do
    outcomes[i] = o.done and o.done[i] or item.missing and without_database(item) or nil
    if outcomes[i] then judged = judged + 1 end
  end
  local tasks, places, owners = plan(o)
  local pool <close> = assert(evaluator.start {
    items = tasks, workers = o.workers, timeout = o.timeout, max_rows = o.max_rows, max_bytes = o.max_bytes,
    samples = o.samples, rounds = o.rounds, tolerance = o.tolerance, cache = o.cache, digests = o.digests,
  })
  local seen = 0
  local function collect(done)
    for n = seen + 1, done do
      local i = owners[pool:finished(n)]
      local golds = places[i]
      golds.open = golds.open - 1
      if golds.open == 0 then
        outcomes[i], judged = outcome_of(pool, golds, o.rounds or 0), judged + 1
        if o.finished then o.finished(i, outcomes[i]) end
      end
    end
    seen = done
  end
  repeat
    local done, total, code = pool:step(0.1)
    if not done then return nil, total, code end
    collect(done)
    if o.progress then o.progress(judged, #o.items) end
  until done == total
  return outcomes
end

---Sums outcomes up; see lua/sqlune/evaluate/summary.lua.
M.summary, M.interval, M.bootstrap = summary.of, summary.interval, summary.bootstrap

return M
