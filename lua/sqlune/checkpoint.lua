-- checkpoint(fn, …): fn's activations are not kept; backward runs fn once more, with the same random numbers.
local sq = require "sqlune"

local function is_tensor(v) return type(v) == "userdata" and getmetatable(v).__name == "tensor" end

---Calls fn(…) with recording on; the handles that it makes on the way go at once, the tape holds what backward needs.
local function recorded(fn, ...)
  local s <close> = sq.scope()
  return s:keep(fn(...))
end

---Backward through the outputs, with these gradients of theirs.
local function backward(outputs, douts)
  local total
  for j = 1, outputs.n do
    if douts[j] and outputs[j].requires_grad then
      local part = (outputs[j] * douts[j]):sum()
      total = total and total + part:to(total.dtype) or part
    end
  end
  if total then total:backward() end
end

local run = sq.custom {
  name = "checkpoint",
  forward = function(ctx, fn, ...)
    ctx.fn, ctx.n, ctx.random = fn, select("#", ...), sq.random_state()
    ctx.inputs, ctx.wants = { ... }, {}
    for i = 1, ctx.n do -- handles of its own: the caller may close its handles before backward
      local x = ctx.inputs[i]
      if is_tensor(x) then ctx.wants[i], ctx.inputs[i] = x.requires_grad, x:detach():keep() end
    end
    return recorded(fn, ...)
  end,
  backward = function(ctx, ...)
    local s <close> = sq.scope()
    local inputs, now = ctx.inputs, sq.random_state()
    for i = 1, ctx.n do
      if ctx.wants[i] then inputs[i].requires_grad = true end
    end
    sq.random_state(ctx.random)
    local outputs = table.pack(sq.with_grad(recorded, ctx.fn, table.unpack(inputs, 1, ctx.n)))
    sq.random_state(now)
    sq.with_grad(backward, outputs, table.pack(...))
    local grads = {} -- fn itself has none
    for i = 1, ctx.n do
      if ctx.wants[i] then
        local g = inputs[i].grad
        if g and g.dtype ~= inputs[i].dtype then g = g:to(inputs[i].dtype) end -- a bf16 leaf's is f32
        if g then grads[i + 1] = s:keep(g) end
      end
      if is_tensor(inputs[i]) then inputs[i]:close() end
    end
    ctx.inputs = nil
    return table.unpack(grads, 1, ctx.n + 1)
  end,
}

---Calls fn(…) and gives its tensors (three at most). At least one argument must want a gradient for any to flow.
---@param fn fun(...): ...  must do the same when it runs again; may use parameters as upvalues
---@param ... any            tensors among them get their gradients
---@return ...
return function(fn, ...)
  if not sq.grad_enabled() then return fn(...) end
  return run(fn, ...)
end
