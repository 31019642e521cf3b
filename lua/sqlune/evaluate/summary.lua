-- Outcomes summed up: counts, percentages, groups, intervals.
local random = require "sqlune.random"
local rves = require "sqlune.evaluate.rves"

local M = {}

---@class sqlune.evaluate.Counts
---@field name string
---@field items integer
---@field scored integer      items whose gold ran: what the shares are of
---@field correct integer
---@field wrong integer
---@field error integer
---@field timeout integer
---@field gold_error integer
---@field ties_within integer  items whose order of rows differs from gold's among tied rows only: right in ex_ordered
---@field ties_unknown integer items in another order than gold, perhaps among tied rows only: wrong in ex_ordered
---@field ties_cut integer     items that differ where gold's LIMIT cuts through tied rows: wrong, perhaps by chance
---@field ex number?          percent of `scored`, as the others; nil if none
---@field ex_bird number?
---@field ex_ordered number?
---@field ex_xiyan number?
---@field ex_spider number?
---@field soft_f1 number?
---@field r_ves number?       nil unless rounds were timed
---@field executable number?

local SHARES = { "ex_bird", "ex_ordered", "ex_xiyan", "ex_spider", "executable" }

local function new_counts(name)
  return { name = name, items = 0, scored = 0, correct = 0, wrong = 0, error = 0, timeout = 0, gold_error = 0,
    ties_within = 0, ties_cut = 0, ties_unknown = 0, soft = 0.0, rewards = {},
    held = { ex_bird = 0, ex_ordered = 0, ex_xiyan = 0, ex_spider = 0, executable = 0 } }
end

local function count(counts, outcome)
  counts.items = counts.items + 1
  counts[outcome.verdict] = counts[outcome.verdict] + 1
  if outcome.verdict == "gold_error" then return end
  counts.scored = counts.scored + 1
  local held = counts.held -- written out: this is most of what an evaluation's end does
  if outcome.ex_bird then held.ex_bird = held.ex_bird + 1 end
  if outcome.ex_ordered then held.ex_ordered = held.ex_ordered + 1 end
  if outcome.ex_xiyan then held.ex_xiyan = held.ex_xiyan + 1 end
  if outcome.ex_spider then held.ex_spider = held.ex_spider + 1 end
  if outcome.executable then held.executable = held.executable + 1 end
  if outcome.ties then counts["ties_" .. outcome.ties] = counts["ties_" .. outcome.ties] + 1 end
  counts.soft = counts.soft + (outcome.soft_f1 or 0)
  if outcome.reward then counts.rewards[#counts.rewards + 1] = outcome.reward end
end

local function finish(counts)
  local scored, held, soft, rewards = counts.scored, counts.held, counts.soft, counts.rewards
  counts.held, counts.soft, counts.rewards = nil, nil, nil
  if scored == 0 then return end
  counts.ex = 100 * counts.correct / scored
  for _, name in ipairs(SHARES) do counts[name] = 100 * held[name] / scored end
  counts.soft_f1 = 100 * soft / scored
  counts.r_ves = rves.score(rewards)
end

---Sums outcomes up for each name (of a database, a kind of question …), in the order of its first item.
---@param outcomes sqlune.evaluate.Outcome[]
---@param names (string|string[])[]  one for each outcome, or several
---@return sqlune.evaluate.Counts[] groups  each with its `name`
function M.groups(outcomes, names)
  local groups, by_name = {}, {}
  local function count_for(name, outcome)
    local group = by_name[name]
    if not group then
      group = new_counts(name)
      by_name[name], groups[#groups + 1] = group, group
    end
    count(group, outcome)
  end
  for i, outcome in ipairs(outcomes) do
    local name = names[i]
    if type(name) == "table" then
      for _, one in ipairs(name) do count_for(one, outcome) end
    else
      count_for(name, outcome)
    end
  end
  for _, group in ipairs(groups) do finish(group) end
  return groups
end

---Sums outcomes up, over all and, if there are names, in groups.
---@param outcomes sqlune.evaluate.Outcome[]
---@param names? (string|string[])[]
---@return sqlune.evaluate.Counts all
---@return sqlune.evaluate.Counts[] groups
function M.of(outcomes, names)
  local all = new_counts "all"
  for _, outcome in ipairs(outcomes) do count(all, outcome) end
  finish(all)
  return all, names and M.groups(outcomes, names) or {}
end

---The share of the bootstrap's distribution at each number of correct items: n draws with replacement of which each is
---correct with the observed share, that is a binomial distribution. Exact, so no draws and no seed.
local function binomial(correct, n)
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
  local weight, total = binomial(correct, n)
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

---The percentile bootstrap's interval of a mean, drawn.
---@param values number[]
---@param o? { draws?: integer, level?: number, seed?: integer }  default 2,000 draws, 0.95, seed 1
---@return number low
---@return number high
function M.bootstrap(values, o)
  o = o or {}
  local n, draws, level, means = #values, o.draws or 2000, o.level or 0.95, {}
  if n == 0 then error("bootstrap wants at least one value", 2) end
  local stream = random.stream(o.seed or 1)
  for d = 1, draws do
    local sum = 0.0
    for _ = 1, n do sum = sum + values[stream:integer(1, n)] end
    means[d] = sum / n
  end
  table.sort(means)
  local function quantile(q) return means[math.max(1, math.min(draws, math.ceil(q * draws)))] end
  return quantile((1 - level) / 2), quantile((1 + level) / 2)
end

return M
