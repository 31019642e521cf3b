-- What the routers do, summed over training steps: who sends how much to which expert. For metrics and the report.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.momq.Statistics
local Statistics = {}
Statistics.__index = Statistics

---@param c sqlune.momq.Config
---@return sqlune.momq.Statistics
function M.new(c) return setmetatable({ c = c, layers = {}, order = {}, tokens = 0 }, Statistics) end

local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

---Mean over rows and -sum p log p of each row, as a share of the most it could be.
local function entropy(p, wide)
  local n = p:size(-1)
  if n < 2 then return 0 end
  local logs = ops.log(ops.maximum(p, sq.full({ 1 }, 1e-30, { dtype = wide, device = p.device })))
  return -(p * logs):sum():item() / (math.log(n) * p:numel() / n)
end

---Probability that was not chosen, and how undecided the routers are.
local function shares(route, c, wide)
  if c.momq_mode == "paper" then
    local s = route.s
    local kept = route.p
    local taken = route.taken:sum(-1)
    local dropped
    if route.top then dropped = 1 - taken:mean():item() else dropped = 1 - (taken * kept):sum(2):mean():item() end
    return dropped, entropy(s, wide), entropy(route.p, wide)
  end
  local dropped = 1 - (route.weights:sum(2) / route.v:sum(2)):mean():item()
  return dropped, entropy(ops.softmax(route.z:to(wide)), wide),
    route.u and entropy(ops.softmax(route.u:to(wide)), wide) or 0
end

---Adds what one forward's routes chose.
---@param routes table[]
---@param dialect_of integer[]  the dialect of each token, -1: none
function Statistics:add(routes, dialect_of)
  local c = self.c
  local E, D = c.num_experts, c.dialect_num
  sq.no_grad(function()
    local _s <close> = sq.scope()
    local rows = {}
    for i, d in ipairs(dialect_of) do rows[i] = (d < 0 and D or d) * E end
    local base = integers(rows):reshape { -1, 1 }
    local labels = integers(dialect_of)
    for _, route in ipairs(routes) do
      local name = route.layer.name
      local layer = self.layers[name]
      if not layer then
        layer = { sums = sq.zeros({ (D + 1) * E }, { dtype = "f64" }):keep(), dropped = 0, entropy = 0, undecided = 0,
          right = {}, known = {}, tokens = 0 }
        self.layers[name] = layer
        self.order[#self.order + 1] = name
      end
      local weights, ids = route.weights:to("f64", "cpu"), route.ids:to "cpu"
      local sums = ops.scatter_rows(weights:reshape { -1 }, (ids + base):reshape { -1 }, (D + 1) * E)
      ops.copy_(layer.sums, layer.sums + sums)
      local n, wide = #dialect_of, weights.dtype == "f64" and route.weights.dtype or "f32"
      local dropped, undecided, groups = shares(route, c, wide)
      layer.dropped, layer.entropy = layer.dropped + dropped * n, layer.entropy + undecided * n
      layer.undecided, layer.tokens = layer.undecided + groups * n, layer.tokens + n
      if route.u then
        local top = ops.argmax(route.u):to "cpu"
        for d = 0, D - 1 do
          local own = ops.eq(labels, integers(d))
          layer.right[d] = (layer.right[d] or 0) + (own:to "f32" * ops.eq(top, labels):to "f32"):sum():item()
          layer.known[d] = (layer.known[d] or 0) + own:to("f32"):sum():item()
        end
      end
    end
  end)
  self.tokens = self.tokens + #dialect_of
end

local function normalised(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x end
  local shares_of = {}
  for i, x in ipairs(list) do shares_of[i] = total > 0 and math.floor(x / total * 1e4 + 0.5) / 1e4 or 0 end
  return shares_of
end

---The sums since the last call as one entry of the log, starting anew; nil where nothing was added. `load_by_dialect`:
---the share of each dialect's routed weight that each expert got; `load_by_layer`: the same for each layer, all
---dialects together; `own_group`: share of tokens whose likeliest group is their dialect's, in all and by dialect;
---`entropy`, `dialect_entropy`: of the routers, 1 = undecided; `dropped`: probability that was not chosen.
---@return table?
function Statistics:take()
  if #self.order == 0 then return nil end
  local E, D = self.c.num_experts, self.c.dialect_num
  local entry = { dropped = 0, entropy = 0, dialect_entropy = 0 }
  entry.load_by_layer, entry.load_by_dialect, entry.layers = {}, {}, {}
  local by_dialect, right, known, tokens = {}, {}, {}, 0
  for l, name in ipairs(self.order) do
    local layer = self.layers[name]
    local sums, all = layer.sums:totable(), {}
    for d = 0, D do
      by_dialect[d] = by_dialect[d] or {}
      for e = 1, E do
        local x = sums[d * E + e]
        by_dialect[d][e], all[e] = (by_dialect[d][e] or 0) + x, (all[e] or 0) + x
      end
    end
    entry.layers[l], entry.load_by_layer[l] = name, normalised(all)
    entry.dropped, entry.entropy = entry.dropped + layer.dropped, entry.entropy + layer.entropy
    entry.dialect_entropy, tokens = entry.dialect_entropy + layer.undecided, tokens + layer.tokens
    for d, n in pairs(layer.known) do
      right[d], known[d] = (right[d] or 0) + layer.right[d], (known[d] or 0) + n
    end
    layer.sums:close()
  end
  for _, key in ipairs { "dropped", "entropy", "dialect_entropy" } do entry[key] = entry[key] / tokens end
  local rights, all = 0, 0
  entry.own_group_by_dialect = {}
  for d = 0, D - 1 do
    rights, all = rights + (right[d] or 0), all + (known[d] or 0)
    entry.own_group_by_dialect[d + 1] = (known[d] or 0) > 0 and right[d] / known[d] or 0
  end
  entry.own_group = all > 0 and rights / all or nil
  for d = 0, D - 1 do entry.load_by_dialect[d + 1] = normalised(by_dialect[d]) end
  self.layers, self.order, self.tokens = {}, {}, 0
  return entry
end

return M
