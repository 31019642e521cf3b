-- Execution accuracy: gold and predicted SQL run, judged and summed up. The worker threads are sq.evaluator's (C); the
-- definitions of ex, ex_bird, executable and of the verdicts stand in docs/metrics.md.
local evaluator = require "sqlune.core".evaluator

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
---@field db? string|table  a SQLite file, or a connection table
---@field gold string
---@field pred string
---@field missing? string   why there is no `db`: the item is a gold error with this message

---@class sqlune.evaluate.Opts
---@field items sqlune.evaluate.Item[]
---@field workers? integer    threads; default one a processor
---@field timeout? number     seconds a statement, default 30
---@field max_rows? integer   of one result; more are an error
---@field max_bytes? integer  of one result; more are an error
---@field samples? integer    rows kept of both results where the verdict is not correct, default 0
---@field progress? fun(done: integer, total: integer)  called about ten times a second

---@class sqlune.evaluate.Outcome
---@field verdict "correct"|"wrong"|"error"|"timeout"|"gold_error"
---@field ex boolean
---@field ex_bird boolean
---@field executable boolean
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
---@field gold_sample? { columns: string[], rows: any[][], total: integer }
---@field pred_sample? { columns: string[], rows: any[][], total: integer }

local function without_database(item)
  return { verdict = "gold_error", ex = false, ex_bird = false, executable = false,
    gold_error = item.missing, gold_code = "SQLUNE_NOTFOUND" }
end

---Runs and judges all items. ^C cancels what runs and raises.
---@param o sqlune.evaluate.Opts
---@return sqlune.evaluate.Outcome[] outcomes  one for each item, in their order
function M.run(o)
  local runnable, place = {}, {}
  for i, item in ipairs(o.items) do
    if not item.missing then
      runnable[#runnable + 1] = item
      place[i] = #runnable
    end
  end
  local pool <close> = assert(evaluator.start {
    items = runnable, workers = o.workers, timeout = o.timeout, max_rows = o.max_rows, max_bytes = o.max_bytes,
    samples = o.samples,
  })
  local absent = #o.items - #runnable
  repeat
    local done, total = pool:step(0.1)
    if o.progress then o.progress(done + absent, total + absent) end
  until done == total
  local outcomes = {}
  for i, item in ipairs(o.items) do
    outcomes[i] = place[i] and pool:outcome(place[i]) or without_database(item)
  end
  return outcomes
end

---@class sqlune.evaluate.Counts
---@field items integer
---@field scored integer      items whose gold ran: what the shares are of
---@field correct integer
---@field wrong integer
---@field error integer
---@field timeout integer
---@field gold_error integer
---@field ex number?          percent of `scored`; nil if none
---@field ex_bird number?
---@field executable number?

local function new_counts(name)
  return { name = name, items = 0, scored = 0, correct = 0, wrong = 0, error = 0, timeout = 0, gold_error = 0,
    bird = 0, ran = 0 }
end

local function count(counts, outcome)
  counts.items = counts.items + 1
  counts[outcome.verdict] = counts[outcome.verdict] + 1
  if outcome.verdict == "gold_error" then return end
  counts.scored = counts.scored + 1
  if outcome.ex_bird then counts.bird = counts.bird + 1 end
  if outcome.executable then counts.ran = counts.ran + 1 end
end

local function finish(counts)
  local scored = counts.scored
  local bird, ran = counts.bird, counts.ran
  counts.bird, counts.ran = nil, nil
  if scored == 0 then return end
  counts.ex = 100 * counts.correct / scored
  counts.ex_bird = 100 * bird / scored
  counts.executable = 100 * ran / scored
end

---Sums outcomes up, over all and for each name (of a database, a kind of question …) in the order of its first item.
---@param outcomes sqlune.evaluate.Outcome[]
---@param names? string[]  one for each outcome; none: no groups
---@return sqlune.evaluate.Counts all
---@return sqlune.evaluate.Counts[] groups  each with its `name`
function M.summary(outcomes, names)
  local all, groups, by_name = new_counts "all", {}, {}
  for i, outcome in ipairs(outcomes) do
    count(all, outcome)
    local name = names and names[i]
    if name then
      if not by_name[name] then
        by_name[name] = new_counts(name)
        groups[#groups + 1] = by_name[name]
      end
      count(by_name[name], outcome)
    end
  end
  finish(all)
  for _, group in ipairs(groups) do finish(group) end
  return all, groups
end

---The share of the bootstrap's distribution at each number of correct items: n draws with replacement of which each is
---correct with the observed share, that is a binomial distribution. Exact, so no draws and no seed.
local function bootstrap(correct, n)
  local p = correct / n
  local weight, total = { [correct] = 1.0 }, 1.0
  for k = correct + 1, n do
    weight[k] = weight[k - 1] * (n - k + 1) / k * p / (1 - p)
    total = total + weight[k]
  end
  for k = correct - 1, 0, -1 do
    weight[k] = weight[k + 1] * (k + 1) / (n - k) * (1 - p) / p
    total = total + weight[k]
  end
  return weight, total
end

---The percentile bootstrap's interval of a share, computed exactly.
---@param correct integer
---@param n integer
---@param level? number default 0.95
---@return number low   percent
---@return number high  percent
function M.interval(correct, n, level)
  if n < 1 or correct < 0 or correct > n then error("interval wants 0 <= correct <= n and n >= 1", 2) end
  if correct == 0 or correct == n then return 100.0 * correct / n, 100.0 * correct / n end
  local weight, total = bootstrap(correct, n)
  local tail = (1 - (level or 0.95)) / 2 * total
  local low, sum = 0, weight[0]
  while sum < tail do
    low = low + 1
    sum = sum + weight[low]
  end
  local high = n
  sum = weight[n]
  while sum < tail do
    high = high - 1
    sum = sum + weight[high]
  end
  return 100 * low / n, 100 * high / n
end

return M
