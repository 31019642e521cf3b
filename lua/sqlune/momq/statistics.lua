-- What the routers do, summed over training steps: who sends how much to which expert. For metrics and the report.
--
-- What a step adds stays on the routers' device as sums; the host reads them when they are asked for.
local stacked = require("sqlune.momq.routes").stacked
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.momq.Statistics
local Statistics = {}
Statistics.__index = Statistics

---@param c sqlune.momq.Config
---@return sqlune.momq.Statistics
function M.new(c) return setmetatable({ c = c, tokens = 0, known = {} }, Statistics) end

local function softmax(x) return ops.softmax(x:to(x.dtype == "f64" and "f64" or "f32")) end

---Sums over each of L layers.
local function by_layer(x, L) return x:reshape { L, -1 }:sum(2) end

---Of each layer [L]: sum over its rows of sum p log p, of which `entropy_of` makes the entropy.
local function minus_entropy(p, L)
  return by_layer(p * ops.log(ops.maximum(p, sq.full({ 1 }, 1e-30, { dtype = p.dtype, device = p.device }))), L)
end

---Mean entropy as a share of the most it could be, from the sum of minus_entropy over `rows` rows of n.
local function entropy_of(sum, rows, n) return n > 1 and -sum / (math.log(n) * rows) or 0 end

---Of each layer [L]: the sum over tokens of the probability that was chosen.
local function kept(routes, c)
  local L = #routes
  if c.momq_mode == "compat" then
    return by_layer(stacked(routes, "weights"):sum(3) / stacked(routes, "v"):sum(3), L)
  end
  local taken = stacked(routes, "taken"):sum(-1)
  if c.hard_dialect_router then return by_layer(taken, L) end
  return by_layer(taken * stacked(routes, "p"), L)
end

---Tokens of each dialect [D + 1] (D: none) whose likeliest group is their own, over all layers.
local function right(u, dialect, D)
  local own = ops.eq(ops.argmax(u), dialect):to "f32"
  return ops.scatter_rows(own:sum(1), dialect, D + 1)
end

---Adds what one forward's routes chose.
---@param routes table[]
---@param dialect_of integer[]  the dialect of each token, -1: none
function Statistics:add(routes, dialect_of)
  if #routes == 0 then return end
  local c, L = self.c, #routes
  local E, D = c.num_experts, c.dialect_num
  local places = {}
  for i, d in ipairs(dialect_of) do
    places[i] = d < 0 and D or d
    self.known[places[i]] = (self.known[places[i]] or 0) + L
  end
  self.tokens = self.tokens + L * #dialect_of
  sq.no_grad(function()
    local _s <close> = sq.scope()
    local dialect = sq.tensor(places, { dtype = "i64", device = routes[1].ids.device })
    local first = (dialect * E):reshape { -1, 1 }
    local loads = stacked(routes, function(route)
      local index = (route.ids + first):reshape { -1 }
      return ops.scatter_rows(route.weights:to("f64"):reshape { -1 }, index, (D + 1) * E)
    end)
    local u = routes[1].u and stacked(routes, "u")
    local s = c.momq_mode == "paper" and stacked(routes, "s") or softmax(stacked(routes, "z"))
    local list = { loads:reshape { -1 }, kept(routes, c), minus_entropy(s, L) }
    if u then
      list[4], list[5] = minus_entropy(softmax(u), L), right(u, dialect, D)
    end
    for i, x in ipairs(list) do list[i] = x:to "f64" end
    local sums = ops.cat(list)
    if self.sums then self.sums:add_(sums) else self.sums = sums:keep() end
  end)
  if not self.layers then
    self.layers, self.with_groups = {}, routes[1].u ~= nil
    for l, route in ipairs(routes) do self.layers[l] = route.layer.name end
  end
end

local function normalised(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x end
  local shares_of = {}
  for i, x in ipairs(list) do shares_of[i] = total > 0 and math.floor(x / total * 1e4 + 0.5) / 1e4 or 0 end
  return shares_of
end

---One entry of the log from the numbers of `sums`.
local function entry_of(self, sums)
  local c, layers, tokens = self.c, self.layers, self.tokens
  local E, D, L = c.num_experts, c.dialect_num, #layers
  local entry = { load_by_layer = {}, load_by_dialect = {}, own_group_by_dialect = {}, layers = layers }
  local by_dialect, at = {}, L * (D + 1) * E
  for l = 1, L do
    local all = {}
    for d = 0, D do
      by_dialect[d] = by_dialect[d] or {}
      for e = 1, E do
        local x = sums[((l - 1) * (D + 1) + d) * E + e]
        by_dialect[d][e], all[e] = (by_dialect[d][e] or 0) + x, (all[e] or 0) + x
      end
    end
    entry.load_by_layer[l] = normalised(all)
  end
  local function over_layers()
    local sum = 0
    for l = 1, L do sum = sum + sums[at + l] end
    at = at + L
    return sum
  end
  local paper = c.momq_mode == "paper"
  local choices = paper and not c.hard_dialect_router and D or 1 -- of a token
  entry.dropped = 1 - over_layers() / tokens
  entry.entropy = entropy_of(over_layers(), tokens * choices, paper and E // D or E)
  entry.dialect_entropy = self.with_groups and entropy_of(over_layers(), tokens, D) or 0
  local rights, all = 0, 0
  for d = 0, D - 1 do
    local known, own = self.known[d] or 0, self.with_groups and sums[at + 1 + d] or 0
    rights, all = rights + own, all + known
    entry.own_group_by_dialect[d + 1] = known > 0 and own / known or 0
    entry.load_by_dialect[d + 1] = normalised(by_dialect[d])
  end
  entry.own_group = self.with_groups and all > 0 and rights / all or nil
  return entry
end

---The sums since the last call, which start anew; nil where nothing was added. The function waits for their values and
---makes an entry of the log. `load_by_dialect`: the share of each dialect's routed weight that each expert got;
---`load_by_layer`: the same for each layer, all dialects together; `own_group`: share of tokens whose likeliest group
---is their dialect's, in all and by dialect; `entropy`, `dialect_entropy`: of the routers, 1 = undecided; `dropped`:
---probability that was not chosen.
---@return (fun(): table)?
function Statistics:take()
  if not self.sums then return nil end
  local taken = M.new(self.c)
  for _, key in ipairs { "sums", "layers", "with_groups", "tokens", "known" } do
    taken[key], self[key] = self[key], taken[key]
  end
  local fetched = taken.sums:fetch()
  taken.sums:close()
  return function()
    local _s <close> = sq.scope()
    local values = fetched:wait():totable()
    fetched:close()
    return entry_of(taken, values)
  end
end

return M
