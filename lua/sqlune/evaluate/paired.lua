-- Two evaluations of the same items: what flipped, and whether chance explains it.
--
-- Rules: items are matched by place and must have the same database and gold; one that could not be scored in either
-- run counts in neither number. McNemar's test is exact and two-sided: of the items that flipped, each way is equally
-- likely by chance.
local json = require "sqlune.core".json
local summary = require "sqlune.evaluate.summary"

local M = {}

---The exact two-sided p-value of McNemar's test.
---@param gained integer  wrong in the first, right in the second
---@param lost integer
---@return number
function M.mcnemar(gained, lost)
  local n, k = gained + lost, math.min(gained, lost)
  if n == 0 then return 1.0 end
  local log_sum, log_choose = nil, 0.0 -- of C(n, i), i = 0 … k
  for i = 0, k do
    if i > 0 then log_choose = log_choose + math.log(n - i + 1) - math.log(i) end
    local larger, smaller = math.max(log_sum or log_choose, log_choose), math.min(log_sum or log_choose, log_choose)
    log_sum = log_sum and larger + math.log(1 + math.exp(smaller - larger)) or log_choose
  end
  return math.min(1.0, 2 * math.exp(log_sum - n * math.log(2)))
end

local function same_gold(a, b)
  if json.is_array(a) ~= json.is_array(b) then return false end
  if type(a) ~= "table" then return a == b end
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return false end
  end
  return true
end

---@class sqlune.evaluate.Flip
---@field item integer
---@field better boolean  wrong in the first, right in the second
---@field a table         the item's line of the first eval.json
---@field b table

---@class sqlune.evaluate.Comparison
---@field metric string
---@field items integer    that both runs could score
---@field skipped integer
---@field a integer        right in the first
---@field b integer
---@field gained integer
---@field lost integer
---@field p number
---@field interval number[]  of the difference in percent, bootstrap
---@field flips sqlune.evaluate.Flip[]

---Compares the items of two eval.json files by a metric that is true or false.
---@param a table[]
---@param b table[]
---@param o? { metric?: string, seed?: integer, draws?: integer }
---@return sqlune.evaluate.Comparison? comparison
---@return string? message
function M.compare(a, b, o)
  o = o or {}
  local metric = o.metric or "ex"
  if #a ~= #b then return nil, ("the first has %d items, the second %d"):format(#a, #b) end
  local found = { metric = metric, items = 0, skipped = 0, a = 0, b = 0, gained = 0, lost = 0, flips = {} }
  local differences = {}
  for i, x in ipairs(a) do
    local y = b[i]
    if x.db_name ~= y.db_name or not same_gold(x.sql, y.sql) then
      return nil, ("item %d is not the same in both: another database or gold"):format(i)
    end
    if type(x[metric]) ~= "boolean" or type(y[metric]) ~= "boolean" then
      return nil, ("item %d has no '%s' that is true or false"):format(i, metric)
    end
    if x.verdict == "gold_error" or y.verdict == "gold_error" then
      found.skipped = found.skipped + 1
    else
      found.items = found.items + 1
      found.a, found.b = found.a + (x[metric] and 1 or 0), found.b + (y[metric] and 1 or 0)
      differences[found.items] = (y[metric] and 100.0 or 0.0) - (x[metric] and 100.0 or 0.0)
      if x[metric] ~= y[metric] then
        local way = y[metric] and "gained" or "lost"
        found[way] = found[way] + 1
        found.flips[#found.flips + 1] = { item = i, better = y[metric], a = x, b = y }
      end
    end
  end
  found.p = M.mcnemar(found.gained, found.lost)
  found.interval = found.items > 0 and { summary.bootstrap(differences, { seed = o.seed, draws = o.draws }) } or {}
  return found
end

return M
