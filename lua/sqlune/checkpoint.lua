-- checkpoint(fn, …): fn's activations are not kept; backward runs fn once more, with the same random numbers.
local sq = require "sqlune"

local function is_tensor(v) return type(v) == "userdata" and getmetatable(v).__name == "tensor" end

local run = sq.custom {
  name = "checkpoint",
  forward = function(ctx, fn, ...)
    ctx.fn, ctx.inputs, ctx.random = fn, table.pack(...), sq.random_state()
    local s <close> = sq.scope() -- what fn makes on the way goes now
    return s:keep(fn(...))
  end,
  backward = function(ctx, ...)
    local s <close> = sq.scope()
    local douts, inputs, now = table.pack(...), table.move(ctx.inputs, 1, ctx.inputs.n, 1, {}), sq.random_state()
    for i = 1, ctx.inputs.n do
      local x = inputs[i]
      if is_tensor(x) then
        inputs[i] = x:detach()
        if x.requires_grad then inputs[i].requires_grad = true end
      end
    end
    sq.random_state(ctx.random)
    local outputs = table.pack(sq.with_grad(ctx.fn, table.unpack(inputs, 1, ctx.inputs.n)))
    sq.random_state(now)
    local total
    sq.with_grad(function()
      for j = 1, outputs.n do
        if douts[j] and outputs[j].requires_grad then
          local part = (outputs[j] * douts[j]):sum()
          total = total and total + part or part
        end
      end
      if total then total:backward() end
    end)
    local grads = { nil } -- fn itself has none
    for i = 1, ctx.inputs.n do
      local g = is_tensor(inputs[i]) and inputs[i].grad
      if g then grads[i + 1] = s:keep(g) end
    end
    return table.unpack(grads, 1, ctx.inputs.n + 1)
  end,
}

---Calls fn(…) and gives its tensors (three at most). At least one argument must want a gradient for any to flow.
---@param fn fun(...): ...
---@param ... any
---@return ...
return function(fn, ...) return run(fn, ...) end
