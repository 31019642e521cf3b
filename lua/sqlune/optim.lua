-- Optimisers over named parameters, and clipping.
local sq = require "sqlune"
local config = require "sqlune.config"
local random = require "sqlune.random"
local ops = sq.ops

local M = {}

---Settings of a recipe beside lr, beta1, beta2, eps and weight_decay.
M.options = {
  states = config.one_of({ "full", "8bit" }, "the moments: f32 (f64 for f64 weights), or 8-bit codes", "full"),
  gradients = config.one_of({ "f32", "bf16" }, "of bf16 weights; bf16: half the bytes, sums over micro-batches rounded",
    "f32"),
  stochastic_rounding = config.boolean "bf16 weights without f32 copies: each step rounds at random, right in the mean",
}

local SCALED <const> = 256   -- elements that share a scale of 8-bit states: SQN_STATE_BLOCK of kernels.h
local SMALLEST <const> = 4096 -- tensors with fewer elements keep full states, as in bitsandbytes

---@class sqlune.optim.AdamWOpts
---@field beta1? number        0.9
---@field beta2? number        0.999
---@field eps? number          1e-8
---@field weight_decay? number 0.1, on matrices only: norms and biases are left alone
---@field states? "full"|"8bit"
---@field gradients? "f32"|"bf16"        of bf16 weights
---@field stochastic_rounding? boolean  for bf16 weights: no f32 copies
---@field seed? integer        of the stochastic rounding
---@field rate_of? fun(name: string, param: userdata): number?  multiple of the rate for this parameter (1)
---@field decay_of? fun(name: string, param: userdata): boolean? whether it decays (matrices do)

---@class sqlune.optim.AdamW
---@field step_count integer  updates that were made; read it by updates(): the last one's verdict may be on its way
---@field moves integer       updates that were begun
local AdamW = {}
AdamW.__index = AdamW

local function state_of(self, i, p)
  local wide = p.dtype == "f64" and "f64" or "f32"
  if self.states == "8bit" and p:numel() >= SMALLEST then
    local blocks = { (p:numel() + SCALED - 1) // SCALED }
    -- Code 127 of the signed and 0 of the unsigned values is 0.
    self.m[i] = sq.full(p.shape, 127, { dtype = "u8", device = p.device }):keep()
    self.v[i] = sq.zeros(p.shape, { dtype = "u8", device = p.device }):keep()
    self.m_scale[i] = sq.zeros(blocks, { device = p.device }):keep()
    self.v_scale[i] = sq.zeros(blocks, { device = p.device }):keep()
  else
    self.m[i] = sq.zeros(p.shape, { dtype = wide, device = p.device }):keep()
    self.v[i] = sq.zeros(p.shape, { dtype = wide, device = p.device }):keep()
  end
end

---AdamW. Weights in bf16 have an f32 copy that is updated and then rounded, or with `stochastic_rounding` none.
---@param names string[]
---@param params userdata[]
---@param o? sqlune.optim.AdamWOpts
---@return sqlune.optim.AdamW
function M.adamw(names, params, o)
  o = o or {}
  local self = setmetatable({
    names = names, params = params, step_count = 0, moves = 0, beta1 = o.beta1 or 0.9, beta2 = o.beta2 or 0.999,
    eps = o.eps or 1e-8, weight_decay = o.weight_decay or 0.1, states = o.states or "full", seed = -1,
    m = {}, v = {}, m_scale = {}, v_scale = {}, masters = {}, groups = {},
  }, AdamW)
  if o.stochastic_rounding then self.seed = random.name("stochastic rounding", o.seed or 0) end
  local by_key = {}
  for i, p in ipairs(params) do
    state_of(self, i, p)
    if p.dtype == "bf16" then p.grad_dtype = o.gradients or "f32" end
    if p.dtype == "bf16" and not o.stochastic_rounding then
      self.masters[i] = sq.no_grad(function() return p:to("f32"):keep() end)
    end
    local decays, rate = p.ndim > 1, o.rate_of and o.rate_of(names[i], p) or 1
    if o.decay_of then
      local told = o.decay_of(names[i], p)
      if told ~= nil then decays = told end
    end
    local key = ("%s %s %s"):format(decays, rate, self.m_scale[i] ~= nil)
    if not by_key[key] then
      by_key[key] = { decays = decays, rate = rate, blockwise = self.m_scale[i] ~= nil }
      self.groups[#self.groups + 1] = by_key[key]
    end
    table.insert(by_key[key], i)
  end
  return self
end

---One group of parameters that share decay, rate and kind of states.
local function step_group(self, group, lr, scale, factor)
  local lists, with_masters = { {}, {}, {}, {}, {}, {}, {} }, false
  local params, grads, m, v, masters, m_scale, v_scale = table.unpack(lists)
  for _, i in ipairs(group) do
    local p = self.params[i]
    local g = p.grad
    if g then
      local n = #params + 1
      params[n], grads[n], m[n], v[n] = p, g, self.m[i], self.v[i]
      masters[n], with_masters = self.masters[i] or p, with_masters or self.masters[i] ~= nil
      m_scale[n], v_scale[n] = self.m_scale[i], self.v_scale[i]
    end
  end
  if #params == 0 then return end
  local o = {
    lr = lr * group.rate, beta1 = self.beta1, beta2 = self.beta2, eps = self.eps, step = self.step_count,
    weight_decay = group.decays and self.weight_decay or 0, grad_scale = scale,
    factor = factor, seed = self.seed, stream = group[1] << 32,
  }
  masters = with_masters and masters or nil
  if group.blockwise then
    ops.adamw8_(params, grads, m, v, masters, m_scale, v_scale, o)
  else
    ops.adamw_(params, grads, m, v, masters, o)
  end
end

local function is_finite(x) return x == x and math.abs(x) < math.huge end

---Waits for the verdict on the last step, where that is still on its way.
local function settle(self)
  local pending = self.pending
  if not pending then return end
  self.pending = nil
  local _s <close> = sq.scope()
  if not is_finite(pending:wait():item()) then self.step_count = self.step_count - 1 end
  pending:close()
end

---Updates that were made. Waits for a card that has not said yet whether the last one was.
---@return integer
function AdamW:updates()
  settle(self)
  return self.step_count
end

---One step with this learning rate on the parameters that have a gradient; the gradients are spent by it. A `factor`
---that is not finite (of a norm that is not) skips the step: weights and moments stay as they are. A factor on a card
---(of clip_on_device) is not read before the next step.
---@param lr number
---@param factor? number|userdata every gradient is multiplied by it (clipping)
---@return boolean? done  false: skipped; nil: the card has not said yet
function AdamW:step(lr, factor)
  settle(self)
  factor = factor or 1
  local later = type(factor) ~= "number" and factor.device ~= "cpu" and factor or nil
  if type(factor) ~= "number" and not later then factor = factor:item() end
  local done = later == nil and is_finite(factor)
  if done or later then
    sq.sys.uninterrupted(function() -- all parameters move, or none
      local _s <close> = sq.scope()
      self.step_count, self.moves = self.step_count + 1, self.moves + 1
      self.pending = later and later:fetch()
      for _, group in ipairs(self.groups) do step_group(self, group, lr, later and 1 or factor, later) end
    end)
  end
  for _, p in ipairs(self.params) do p:zero_grad() end
  if later then return nil end
  return done
end

---What a checkpoint holds: moments (8-bit ones with their scales) and master weights by name.
---@return table<string, userdata> tensors
function AdamW:tensors()
  local t = {}
  for i, name in ipairs(self.names) do
    t["m." .. name], t["v." .. name], t["master." .. name] = self.m[i], self.v[i], self.masters[i]
    t["m_scale." .. name], t["v_scale." .. name] = self.m_scale[i], self.v_scale[i]
  end
  return t
end

---Takes the state of a checkpoint back.
---@param tensors table<string, userdata>
---@param step_count integer
function AdamW:restore(tensors, step_count)
  for key, mine in pairs(self:tensors()) do
    local stored = tensors[key]
    if not stored then error("the optimiser's state has no '" .. key .. "'", 2) end
    if stored.dtype ~= mine.dtype then
      error(("the optimiser's state has '%s' in %s, these settings want %s"):format(key, stored.dtype, mine.dtype), 2)
    end
    ops.copy_(mine, stored)
  end
  self.step_count, self.pending = step_count, nil
end

---The part of the model that a parameter counts to: "embed_tokens", "self_attn", "mlp", "norm", "lm_head" …
---@param name string
---@return string
function M.group_of(name)
  return name:match "%.(self_attn)%." or name:match "%.(mlp)%." or name:find "norm%.weight$" and "norm"
    or name:match "([%w_]+)%.%w+$" or name
end

---2-norm of all gradients together; clips them to `max` by the factor that step() takes (max 0: no limit). Both stay
---where the gradients lie: nobody waits for a card.
---@param params userdata[]
---@param max number
---@param names? string[]  with them the norms of the model's parts follow
---@return userdata norms   f64 [1 + parts]: of all, before clipping, NaN or infinite if a gradient is; of each part
---@return userdata factor  f64, one number: NaN if the norm is not finite, and step() skips
---@return string[] parts   of the further norms
function M.clip_on_device(params, max, names)
  local s <close> = sq.scope()
  local groups, parts, list, sizes = {}, {}, {}, {}
  for i, p in ipairs(params) do
    local part = names and M.group_of(names[i]) or ""
    if not groups[part] then groups[part], parts[#parts + 1] = {}, part end
    table.insert(groups[part], p.grad)
  end
  for i, part in ipairs(parts) do
    table.move(groups[part], 1, #groups[part], #list + 1, list)
    sizes[i] = #groups[part]
  end
  local norms, factor = ops.clip_norms(list, sizes, max)
  s:keep(norms, factor)
  return norms, factor, parts
end

---clip_on_device for who wants numbers: they are waited for.
---@param params userdata[]
---@param max number
---@param names? string[]
---@return number norm   before clipping; NaN or infinite if a gradient is
---@return number factor NaN if the norm is not finite: step() skips then
---@return table<string, number>? parts
function M.clip(params, max, names)
  local _s <close> = sq.scope()
  local norms, factor, parts = M.clip_on_device(params, max, names)
  local list, by_part = norms:totable(), {}
  for i, part in ipairs(parts) do by_part[part] = list[1 + i] end
  return list[1], factor:item(), names and by_part
end

return M
