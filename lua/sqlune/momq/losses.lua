-- The routers' own losses, from what the layers recorded during one forward (at.routes). Formulas: docs/momq.md.
--
-- Rules: means are over what the caller counts, so that accumulated batches add up to the mean of the whole step; what
-- only counts (shares of tokens) has no gradient.
local stacked = require("sqlune.momq.routes").stacked
local sq = require "sqlune"
local ops = sq.ops

local M = {}

local function wide_of(x) return x.dtype == "f64" and "f64" or "f32" end
local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

---Sum over labelled rows of the cross entropy with the smoothed target (1 - s) onehot + s / D.
---@param logits userdata  [N, D]
---@param labels userdata  [N] i64, -100: not counted
---@param smooth number
local function cross_entropy(logits, labels, smooth)
  local loss = ops.cross_entropy(logits, labels)
  if smooth == 0 then return loss end
  local counted = ops.ne(labels, integers(-100)):to(logits.dtype, logits.device)
  local even = (ops.log_softmax(logits):mean(2) * counted):sum() * -1
  return loss * (1 - smooth) + even * smooth
end

---Paper: sum over the layers' tokens that are labelled, divided by `count` and the number of layers.
---@param routes table[]
---@param labels userdata  [N] i64: the dialect of each prompt token, -100: none
---@param count integer    labelled tokens of the whole step
---@param smooth number
---@return userdata? nil: no token is labelled
function M.dialect_of_tokens(routes, labels, count, smooth)
  if count == 0 then return nil end
  local u, L, N = stacked(routes, "u"), #routes, labels:size(1)
  local repeated = labels:reshape { 1, N }:expand { L, N }:reshape { -1 }
  return cross_entropy(u:reshape { L * N, -1 }, repeated, smooth) / (count * L)
end

---Compat: the cross entropy of each row's logits, averaged over layers and then over all positions of the row.
---@param routes table[]
---@param starts integer[]   first position of each row, and their number at the end
---@param dialects integer[] one a row
---@param count integer      rows of the whole step
---@param smooth number
---@return userdata?         nil where a row has no dialect: then none has a loss
function M.dialect_of_rows(routes, starts, dialects, count, smooth)
  local rows = #starts - 1
  for row = 1, rows do
    if dialects[row] < 0 then return nil end
  end
  if not routes[1].u then return nil end
  local u = stacked(routes, "u")
  local total = u:to(wide_of(u)):sum(1)
  local average = {}
  for row = 1, rows do
    average[row] = {}
    local n = starts[row + 1] - starts[row]
    for i = 1, starts[#starts] do
      average[row][i] = i > starts[row] and i <= starts[row + 1] and 1 / (n * #routes) or 0
    end
  end
  local means = ops.matmul(sq.tensor(average, { dtype = total.dtype, device = total.device }), total)
  return cross_entropy(means, integers(dialects), smooth) / count
end

---Compat: Mixtral's balance loss over the rows of all layers together; k at perfect balance.
---@param routes table[]
---@param k integer
---@param columns integer  of a row: all experts, or those of a group
---@param weights? userdata [rows of a layer] what each row counts; absent: 1
---@return userdata
function M.balance_of_rows(routes, k, columns, weights)
  local z = stacked(routes, "z"):reshape { -1, columns }
  local p = ops.softmax(z:to(wide_of(z)))
  local rows, L = p:size(1), #routes
  local m = weights and weights:to(p.dtype, p.device):reshape { 1, rows // L }:expand { L, rows // L }:reshape { -1 }
    or sq.ones({ rows }, { dtype = p.dtype, device = p.device })
  local total = m:sum()
  local f = sq.no_grad(function()
    local _, ids = ops.topk(p, k)
    return ops.scatter_rows(m:reshape { rows, 1 }:expand { rows, k }:reshape { -1 }, ids:reshape { -1 }, columns)
  end)
  return ((p * m:reshape { rows, 1 }):sum(1) * f):sum() * columns / (total * total)
end

---Sums of the routes' choices by expert, as what a group's share of each token makes of them: counts and weights
---[L, D, n], and each group's load [L, D].
local function loads(routes, c)
  local D, n, K, L = c.dialect_num, c.num_experts // c.dialect_num, c.num_experts_per_tok, #routes
  local s = routes[1].s
  local N = s:size(1)
  local function counts_of(shares)
    return stacked(routes, function(route)
      return ops.scatter_rows(shares(route), route.ids:reshape { -1 }, D * n)
    end):reshape { L, D, n }
  end
  if routes[1].top then -- hard: the token counts in its own group only
    local ones = sq.ones({ N * K }, { dtype = s.dtype, device = s.device })
    local counts = counts_of(function() return ones end)
    local sums = stacked(routes, function(route) return ops.scatter_rows(route.s, route.top, D) end)
    return counts, sums, counts:sum(3) / K
  end
  local counts = counts_of(function(route)
    return route.p:detach():reshape { N, D, 1 }:expand { N, D, K }:reshape { -1 }
  end)
  local o = sq.no_grad(stacked, routes, "p")
  return counts, (stacked(routes, "s") * o:reshape { L, N, D, 1 }):sum(2), o:sum(2)
end

---Paper: balance inside each group of each layer, groups by their load, mean over layers; 1 at perfect balance.
---@param routes table[]
---@param c sqlune.momq.Config
---@return userdata
function M.balance_in_groups(routes, c)
  local n, K = c.num_experts // c.dialect_num, c.num_experts_per_tok
  local counts, sums, load = loads(routes, c)
  local least = sq.full({ 1 }, 1e-30, { dtype = load.dtype, device = load.device })
  local safe = ops.maximum(load, least) -- a group that nobody reached
  return (((counts * sums):sum(3) / safe):sum(2) * n / (load:sum(2) * K)):sum() / #routes
end

return M
