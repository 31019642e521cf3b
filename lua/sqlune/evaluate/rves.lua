-- BIRD mini-dev's reward-based valid efficiency score (R-VES): times of both statements to one number.
--
-- Rules: ratio = gold's time / the prediction's, of as many rounds as were run; ratios three or more standard
-- deviations from the mean are dropped; the mean of the rest decides the reward; the score is 100 times the mean root
-- of rewards. So a single round, or equal ratios (nothing is nearer than a deviation of 0), score 0, as they do there.
local M = {}

M.ROUNDS = 100

---Sum of list[first … last] as numpy adds: plain below 8 numbers, else eight running sums, halves from 128 on.
local function sum_of(list, first, last)
  local n = last - first + 1
  if n < 8 then
    local sum = 0.0
    for i = first, last do sum = sum + list[i] end
    return sum
  end
  if n > 128 then
    local half = n // 2
    half = half - half % 8
    return sum_of(list, first, first + half - 1) + sum_of(list, first + half, last)
  end
  local r = table.move(list, first, first + 7, 1, {})
  local i = first + 8
  while i + 7 <= last do
    for j = 1, 8 do r[j] = r[j] + list[i + j - 1] end
    i = i + 8
  end
  local sum = ((r[1] + r[2]) + (r[3] + r[4])) + ((r[5] + r[6]) + (r[7] + r[8]))
  for rest = i, last do sum = sum + list[rest] end
  return sum
end

---Numbers nearer than three population standard deviations to their mean.
---@param list number[]
---@return number[]
function M.clean(list)
  local n, kept, squares = #list, {}, {}
  if n == 0 then return kept end
  local mean = sum_of(list, 1, n) / n
  for i, x in ipairs(list) do squares[i] = (x - mean) * (x - mean) end
  local sigma = math.sqrt(sum_of(squares, 1, n) / n)
  for _, x in ipairs(list) do
    if x < mean + 3 * sigma and x > mean - 3 * sigma then kept[#kept + 1] = x end
  end
  return kept
end

local STEPS = { { 2, 1.25 }, { 1, 1 }, { 0.5, 0.75 }, { 0.25, 0.5 } }

---The reward of one pair of statements.
---@param gold_times number[]  seconds, one for each round
---@param pred_times number[]
---@param equal boolean        whether the sets of rows are equal (ex_bird)
---@return number reward       0, 0.25, 0.5, 0.75, 1 or 1.25
---@return number ratio        the mean of the ratios that were kept; 0 where there is no reward
function M.reward(gold_times, pred_times, equal)
  if not equal then return 0, 0 end
  local ratios = {}
  for i, gold in ipairs(gold_times) do
    if pred_times[i] == 0 then return 0, 0 end
    ratios[i] = gold / pred_times[i]
  end
  local kept = M.clean(ratios)
  if #kept == 0 then return 0, 0 end
  local sum = 0.0
  for _, x in ipairs(kept) do sum = sum + x end
  local ratio = sum / #kept
  if ratio == 0 then return 0, ratio end
  for _, step in ipairs(STEPS) do
    if ratio >= step[1] then return step[2], ratio end
  end
  return 0.25, ratio
end

---@param rewards number[]
---@return number? score  percent, at most 111.8; nil of no rewards
function M.score(rewards)
  if #rewards == 0 then return nil end
  local sum = 0.0
  for _, reward in ipairs(rewards) do sum = sum + math.sqrt(reward) * 100 end
  return sum / #rewards
end

return M
