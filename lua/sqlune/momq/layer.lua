-- A linear layer with LoRA or with a mixture of LoRA experts in front of its frozen weight. The formulas: docs/momq.md.
--
-- Shapes: x [N, in] packed tokens; E experts in D groups of n; K experts a token; S shared experts; r the rank. Experts
-- lie stacked, A [E, r, in] and B [E, out, r]; files name each one (lora_A.0 …). Gates are [in, E].
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.momq.Layer
---@field name string
---@field c sqlune.momq.Config
---@field linear sqlune.nn.Linear
---@field tensors table<string, userdata>  lora_A, lora_B, lora_shared_A, …: what is trained
---@field experts integer                  1: plain LoRA
local Layer = {}
Layer.__index = Layer

local DROPOUT_STREAM <const> = 0x6d6f65 -- apart from other draws of the same seed

---A place in the random numbers for a dropout mask of this many elements.
local function draw(p, count)
  if p == 0 then return nil end
  local s = sq.random_state()
  sq.random_state { seed = s.seed, offset = s.offset + (count + 3) // 4 }
  return { p = p, seed = s.seed, stream = DROPOUT_STREAM, offset = s.offset }
end

local function wide_of(x) return x.dtype == "f64" and "f64" or "f32" end

---0, step, 2 step, …: `count` of them. A cache keeps them, so that its steps can be recorded (sq.graph).
local function multiples(at, count, step, device)
  local kept = at.cache and at.cache.kept
  local x = kept and kept[step]
  if not x or x:size(1) < count then
    x = (sq.arange(0, math.max(count, kept and 4096 or 0) - 1) * step):to(device)
    if kept then kept[step] = x:keep() end
  end
  return x:narrow(1, 1, count)
end

---x W^T + b + scale drop(x) A^T B^T
local function lora(self, x, a, b, p)
  local o = draw(p, x:numel()) or {}
  o.scale = self.scale
  return ops.lora_linear(x, self.linear.weight, self.linear.bias, a, b, o)
end

---The routers' outcome of one forward, for losses and statistics. All its tensors are out of scopes: close them.
local function record(self, at, fields)
  if not at.routes then return end
  if at.checkpoint and not at.inside then
    error("momq: a model's layers are checkpointed with at.checkpoint(run, …), not with sq.checkpoint", 0)
  end
  local kept = { layer = self, tensors = {} }
  for name, x in pairs(fields) do
    kept[name] = x:keep()
    kept.tensors[#kept.tensors + 1] = x
  end
  table.insert(at.routes, kept)
end

---The logits of the layer's routers, by their gates' names: one product for all of them.
local function logits_of(self, x)
  local gates, list, logits, first = {}, {}, {}, 1
  for _, name in ipairs { "lora_moe_gate", "lora_dialect_gate", "lora_shared_gate" } do
    local gate = self.tensors[name]
    if gate then gates[#gates + 1], list[#list + 1] = name, gate end
  end
  local all = ops.matmul(x, ops.cat(list, 2))
  for i, name in ipairs(gates) do
    local width = list[i]:size(2)
    logits[name], first = all:narrow(2, first, width), first + width
  end
  return logits
end

---One choice a token among all experts: softmax over all, times the dialect router's share of the expert's group.
local function choose_compat(self, x, at, logits)
  local c, N, wide = self.c, x:size(1), wide_of(x)
  local D, n = c.dialect_num, c.num_experts // c.dialect_num
  local z, u = logits.lora_moe_gate, logits.lora_dialect_gate
  local v = ops.softmax(z:to(wide))
  if c.enable_dialect_router then
    local q = ops.softmax(u:to(wide))
    if c.hard_dialect_router then -- causal: each token's own likeliest group
      local groups = multiples(at, D, 1, x.device):reshape { 1, D }
      q = q * ops.eq(ops.argmax(u):reshape { N, 1 }, groups):to(wide)
    end
    v = (v:reshape { N, D, n } * q:reshape { N, D, 1 }):reshape { N, D * n }
  end
  local weights, ids = ops.topk(v, c.num_experts_per_tok)
  if at.routes then
    record(self, at, { z = z, u = u, v = v, ids = ids, weights = weights })
  end
  return ids, weights
end

---Every expert, by a choice for the whole sequence; a cache remembers the mean over the tokens so far.
local function choose_sentence(self, x, at)
  local N, E = x:size(1), self.experts
  local starts, lists, row_of = at.rows:totable(), {}, {}
  for row = 1, #starts - 1 do
    lists[row] = {}
    for i = 1, N do lists[row][i] = 0 end
    for i = starts[row] + 1, starts[row + 1] do lists[row][i], row_of[i] = 1, row - 1 end
  end
  local sums = ops.matmul(sq.tensor(lists, { dtype = x.dtype, device = x.device }), x)
  local counts = {}
  for row = 1, #starts - 1 do counts[row] = { starts[row + 1] - starts[row] } end
  if at.cache then
    at.cache.unrecorded = true -- what follows looks at values
    local state = at.cache.kept
    local how = { dtype = x.dtype, device = x.device }
    state[self] = state[self] or sq.zeros({ #at.cache.lengths, x:size(2) }, how):keep()
    local sequences = {}
    for row, s in ipairs(at.sequences) do sequences[row] = s - 1 end
    local index = sq.tensor(sequences, { dtype = "i64" })
    sums = sums + ops.gather_rows(state[self], index)
    ops.write_rows_(state[self], index, sums)
    for row, length in ipairs(at.lengths and at.lengths:totable() or {}) do counts[row][1] = length end
  end
  local means = sums / sq.tensor(counts, { dtype = x.dtype, device = x.device })
  local alpha = ops.softmax(ops.matmul(means, self.tensors.lora_moe_gate))
  return sq.arange(0, E - 1):reshape { 1, E }:expand { N, E },
    ops.gather_rows(alpha, sq.tensor(row_of, { dtype = "i64" }))
end

---Each group's router chooses K of its experts; the dialect router weighs the groups.
local function choose_soft(self, x, at, logits)
  local c, N, wide = self.c, x:size(1), wide_of(x)
  local D, n, K = c.dialect_num, c.num_experts // c.dialect_num, c.num_experts_per_tok
  local s = ops.softmax(logits.lora_moe_gate:to(wide):reshape { N, D, n })
  local u = logits.lora_dialect_gate:to(wide)
  local p = ops.softmax(u)
  local a, places = ops.topk(s, K)
  local taken = a
  if c.norm_topk_prob then a = a / a:sum(3, true) end
  local first = multiples(at, D, n, x.device) -- expert of each group
  local ids = (places + first:reshape { 1, D, 1 }):reshape { N, D * K }
  local weights = (a * p:reshape { N, D, 1 }):reshape { N, D * K }
  if at.routes then record(self, at, { s = s, u = u, p = p, ids = ids, weights = weights, taken = taken }) end
  return ids, weights
end

---A token goes to its likeliest group, whose router chooses K experts.
local function choose_hard(self, x, at, logits)
  local c, N, wide = self.c, x:size(1), wide_of(x)
  local D, n = c.dialect_num, c.num_experts // c.dialect_num
  local u = logits.lora_dialect_gate:to(wide)
  local p, top = ops.softmax(u), ops.argmax(u)
  local own = multiples(at, N, D, x.device) + top -- [N]: rows of [N D, ...]
  local z = logits.lora_moe_gate:to(wide):reshape { N * D, n }
  local s = ops.softmax(ops.gather_rows(z, own))
  local a, places = ops.topk(s, c.num_experts_per_tok)
  local taken = a
  if c.norm_topk_prob then a = a / a:sum(2, true) end
  local ids = places + ops.gather_rows(multiples(at, D, n, x.device), top):reshape { N, 1 }
  local weights = a * ops.gather_rows(p:reshape { N * D }, own):reshape { N, 1 }
  if at.routes then
    record(self, at, { s = s, u = u, p = p, top = top, ids = ids, weights = weights, taken = taken })
  end
  return ids, weights
end

---Base and shared experts. Paper: a router weighs the shared ones; compat: each counts 1, one LoRA of rank S r.
local function shared(self, x, p, logits)
  local c, t = self.c, self.tensors
  local sentence = c.momq_mode == "compat" and c.lora_route_type == "sentence"
  if c.share_expert_num == 0 or sentence then return ops.linear(x, self.linear.weight, self.linear.bias) end
  if c.momq_mode == "compat" then return lora(self, x, t.lora_shared_A, t.lora_shared_B, p) end
  local N, S, r = x:size(1), c.share_expert_num, c.lora_r
  local h = ops.softmax(logits.lora_shared_gate:to(wide_of(x))):affine(self.scale):to(x.dtype)
  local drawn = draw(p, x:numel())
  local low = ops.linear(drawn and ops.dropout(x, drawn) or x, t.lora_shared_A)
  low = (low:reshape { N, S, r } * h:reshape { N, S, 1 }):reshape { N, S * r }
  return ops.linear(x, self.linear.weight, self.linear.bias) + ops.linear(low, t.lora_shared_B)
end

---@param x userdata  [N, in]
---@param at table    the model's context: routes, if losses or statistics are wanted
---@return userdata y # [N, out]
function Layer:run(x, at)
  local t, p = self.tensors, self.c.lora_dropout
  if not at.training then p = 0 end
  if self.experts == 1 then return lora(self, x, t.lora_A, t.lora_B, p) end
  local sentence = self.choose == choose_sentence
  local logits = not sentence and logits_of(self, x) or nil
  local y = shared(self, x, p, logits)
  local ids, weights = self.choose(self, x, at, logits)
  local o = { scale = self.scale, base = y }
  for key, value in pairs(draw(p, sentence and x:numel() or ids:numel() * ((x:size(2) + 3) // 4 * 4)) or {}) do
    o[key] = value
  end
  if sentence and p > 0 then -- one mask for all experts
    x, o.p = ops.dropout(x, p, { seed = o.seed, stream = o.stream, offset = o.offset }), 0
  end
  return ops.moe_lora(x, t.lora_A, t.lora_B, ids, weights:to(x.dtype), o)
end

---The shape of every tensor of the layer, and how it starts: "uniform" within 1/sqrt(fan), or zeros.
local function shapes(self)
  local c, r = self.c, self.c.lora_r
  local out, inputs = self.linear.weight:size(1), self.linear.weight:size(2)
  if self.experts == 1 then
    return { { "lora_A", { r, inputs }, inputs }, { "lora_B", { out, r } } }
  end
  local E, S, D = self.experts, c.share_expert_num, c.dialect_num
  local list = { { "lora_A", { E, r, inputs }, inputs }, { "lora_B", { E, out, r } } }
  local function gate(name, width)
    list[#list + 1] = { name, { inputs, width }, c.gate_init == "in" and inputs or width }
  end
  gate("lora_moe_gate", E)
  if c.enable_dialect_router then gate("lora_dialect_gate", D) end
  if S > 0 and c.lora_route_type ~= "sentence" then
    list[#list + 1] = { "lora_shared_A", { S * r, inputs }, inputs }
    list[#list + 1] = { "lora_shared_B", { out, S * r } }
    if c.momq_mode == "paper" then gate("lora_shared_gate", S) end
  end
  return list
end

---Trained numbers of a layer, without making them.
---@param linear sqlune.nn.Linear
---@param c sqlune.momq.Config
---@param experts integer
---@return integer
function M.size(linear, c, experts)
  local total = 0
  for _, spec in ipairs(shapes { linear = linear, c = c, experts = experts }) do
    local n = 1
    for _, size in ipairs(spec[2]) do n = n * size end
    total = total + n
  end
  return total
end

---Tensors of the layer with their names in a file: each expert by itself, as a view.
---@return table<string, userdata>
function Layer:files()
  local list = {}
  for key, x in pairs(self.tensors) do
    if x.ndim == 3 then
      for e = 1, self.experts do list[("%s.%s.%d"):format(self.name, key, e - 1)] = x:select(1, e) end
    else
      list[self.name .. "." .. key] = x
    end
  end
  return list
end

---What the layer adds whatever the token, as a change of the weight [out, in]; nil where there is nothing of that kind.
---@return userdata?
function Layer:constant()
  local t = self.tensors
  local a, b = t.lora_shared_A, t.lora_shared_B
  if self.experts == 1 then a, b = t.lora_A, t.lora_B end
  if not a or self.experts > 1 and self.c.momq_mode == "paper" and self.c.share_expert_num > 1 then return nil end
  local wide = wide_of(a)
  return ops.matmul(b:to(wide), a:to(wide)):affine(self.scale)
end

---@param linear sqlune.nn.Linear
---@param c sqlune.momq.Config
---@param experts integer
---@param random fun(): integer  a stream of random numbers that nobody else takes
---@param seed integer
---@return sqlune.momq.Layer
function M.new(linear, c, experts, random, seed)
  local self = setmetatable({ name = linear.name, c = c, linear = linear, experts = experts,
    scale = c.lora_alpha / c.lora_r, tensors = {} }, Layer)
  if c.momq_mode == "paper" then
    self.choose = c.hard_dialect_router and choose_hard or choose_soft
  else
    self.choose = c.lora_route_type == "sentence" and choose_sentence or choose_compat
  end
  local dtype, device = linear.weight.dtype, linear.weight.device
  for _, spec in ipairs(shapes(self)) do
    local name, shape, fan = spec[1], spec[2], spec[3]
    local x
    if fan then
      local _s <close> = sq.scope()
      local bound = fan ^ -0.5
      local drawn = sq.rand(shape, { dtype = wide_of(linear.weight), seed = seed, stream = random(), offset = 0 })
      x = drawn:affine(2 * bound, -bound):to(dtype, device):keep()
    else
      x = sq.zeros(shape, { dtype = dtype, device = device }):keep()
    end
    self.tensors[name] = x
  end
  return self
end

return M
