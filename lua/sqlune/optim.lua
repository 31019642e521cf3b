-- Optimisers over named parameters, and clipping.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.optim.AdamWOpts
---@field beta1? number        0.9
---@field beta2? number        0.999
---@field eps? number          1e-8
---@field weight_decay? number 0.1, on matrices only: norms and biases are left alone
---@field rate? fun(name: string, p: userdata): number     factor of the learning rate; absent: 1 for all
---@field decays? fun(name: string, p: userdata): boolean  what weight_decay is for; absent: matrices

---@class sqlune.optim.AdamW
---@field step_count integer
local AdamW = {}
AdamW.__index = AdamW

---AdamW with f32 moments; weights in bf16 have an f32 copy that is updated and then rounded.
---@param names string[]
---@param params userdata[]
---@param o? sqlune.optim.AdamWOpts
---@return sqlune.optim.AdamW
function M.adamw(names, params, o)
  o = o or {}
  local self = setmetatable({
    names = names, params = params, step_count = 0, beta1 = o.beta1 or 0.9, beta2 = o.beta2 or 0.999,
    eps = o.eps or 1e-8, weight_decay = o.weight_decay or 0.1, m = {}, v = {}, masters = {}, groups = {},
  }, AdamW)
  local groups = {}
  for i, p in ipairs(params) do
    local rate, decays = o.rate and o.rate(names[i], p) or 1, p.ndim > 1
    if o.decays then decays = o.decays(names[i], p) end
    local key = ("%a %s"):format(rate, decays)
    if not groups[key] then
      groups[key] = { rate = rate, weight_decay = decays and self.weight_decay or 0 }
      self.groups[#self.groups + 1] = groups[key]
    end
    table.insert(groups[key], i)
    local wide = p.dtype == "f64" and "f64" or "f32"
    self.m[i] = sq.zeros(p.shape, { dtype = wide }):keep()
    self.v[i] = sq.zeros(p.shape, { dtype = wide }):keep()
    if p.dtype == "bf16" then self.masters[i] = sq.no_grad(function() return p:to("f32"):keep() end) end
  end
  return self
end

---One step with this learning rate on the parameters that have a gradient; the gradients are spent by it.
---@param lr number
---@param factor? number every gradient is multiplied by it (clipping)
function AdamW:step(lr, factor)
  self.step_count = self.step_count + 1
  local _s <close> = sq.scope()
  for _, group in ipairs(self.groups) do
    local params, grads, m, v, masters, with_masters = {}, {}, {}, {}, {}, false
    for _, i in ipairs(group) do
      local p = self.params[i]
      local g = p.grad
      if g then
        local n = #params + 1
        params[n], grads[n], m[n], v[n] = p, g, self.m[i], self.v[i]
        masters[n] = self.masters[i] or p
        with_masters = with_masters or self.masters[i] ~= nil
      end
    end
    if #params > 0 then
      ops.adamw_(params, grads, m, v, with_masters and masters or nil, {
        lr = lr * group.rate, beta1 = self.beta1, beta2 = self.beta2, eps = self.eps, step = self.step_count,
        weight_decay = group.weight_decay, grad_scale = factor or 1,
      })
    end
  end
  for _, p in ipairs(self.params) do p:zero_grad() end
end

---What a checkpoint holds: moments and master weights by name.
---@return table<string, userdata> tensors
function AdamW:tensors()
  local t = {}
  for i, name in ipairs(self.names) do
    t["m." .. name], t["v." .. name], t["master." .. name] = self.m[i], self.v[i], self.masters[i]
  end
  return t
end

---Takes the state of a checkpoint back.
---@param tensors table<string, userdata>
---@param step_count integer
function AdamW:restore(tensors, step_count)
  for key, mine in pairs(self:tensors()) do
    if not tensors[key] then error("the optimiser's state has no '" .. key .. "'", 2) end
    ops.copy_(mine, tensors[key])
  end
  self.step_count = step_count
end

---2-norm of all gradients together, as a number; clips them to `max` by the factor that step() takes (max 0: no limit).
---@param params userdata[]
---@param max number
---@return number norm   before clipping; NaN or infinite if a gradient is
---@return number factor
function M.clip(params, max)
  local _s <close> = sq.scope()
  local grads = {}
  for _, p in ipairs(params) do grads[#grads + 1] = p.grad end
  local norm = ops.global_norm(grads):item()
  return norm, max > 0 and math.min(1, max / (norm + 1e-6)) or 1
end

return M
