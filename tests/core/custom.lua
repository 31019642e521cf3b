-- Operators written in Lua, and checkpoints: the same gradients as the operators they are made of.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local function leaf(shape, seed) return sq.randn(shape, { dtype = "f64", seed = seed, requires_grad = true }) end

local cube = sq.custom {
  name = "cube",
  forward = function(ctx, x)
    ctx.x = x
    return x * x * x
  end,
  backward = function(ctx, dy) return ctx.x * ctx.x * 3 * dy end,
}

return {
  ["a custom operator's gradient arrives"] = function()
    local _s <close> = sq.scope()
    local x = leaf({ 3, 2 }, 1)
    cube(x):sum():backward()
    local want = (x:detach() * x:detach() * 3):totable()
    t.eq(x.grad:totable(), want)
  end,
  ["errors in backward are raised by backward, with the operator's name"] = function()
    local _s <close> = sq.scope()
    local broken = sq.custom { name = "broken", forward = function(_, x) return x * 2 end,
      backward = function() error "no way back" end }
    t.fails(function() broken(leaf({ 2 }, 1)):sum():backward() end, "broken: .*no way back")
    local wrong = sq.custom { name = "wrong", forward = function(_, x) return x * 2 end,
      backward = function() return 7 end }
    t.fails(function() wrong(leaf({ 2 }, 1)):sum():backward() end, "wrong: backward gave a number for argument 1")
    t.fails(function() sq.custom { forward = print } end, "must be functions")
    t.ok(sq.grad_enabled())
  end,
  ["without recording nothing is kept"] = function()
    local _s <close> = sq.scope()
    local y = sq.no_grad(function() return cube(leaf({ 2 }, 1)) end)
    t.ok(not y.requires_grad)
  end,
  ["checkpoint: equal results and gradients, also with dropout"] = function()
    local _s <close> = sq.scope()
    local w = leaf({ 5, 4 }, 2)
    local function layer(x, y)
      local h = ops.linear(x, w):tanh()
      return ops.dropout(h, 0.3, { seed = 5 }) * y, h:sum(1)
    end
    local function gradients(run)
      local x, y = leaf({ 3, 4 }, 3), leaf({ 3, 5 }, 4)
      w.grad = nil
      local a, b = run(x, y)
      local total = (a * a):sum() + b:sum()
      total:backward()
      return { x.grad:totable(), y.grad:totable(), w.grad:totable(), a:totable() }
    end
    t.eq(gradients(function(x, y) return sq.checkpoint(layer, x, y) end), gradients(layer))
  end,
  ["checkpoints behind one another in bf16"] = function()
    local _s <close> = sq.scope()
    local w = sq.randn({ 4, 4 }, { seed = 3, dtype = "f32" }):to("bf16")
    w.requires_grad = true
    local function layer(x) return ops.linear(x, w):tanh() end
    local function gradients(run)
      local x = sq.randn({ 3, 4 }, { seed = 4 }):to "bf16"
      x.requires_grad, w.grad = true, nil
      local total = run(run(x)):to("f32"):sum()
      total:backward()
      return { x.grad:totable(), w.grad:totable() }
    end
    t.eq(gradients(function(x) return sq.checkpoint(layer, x) end), gradients(layer))
  end,
  ["checkpoint keeps no activations"] = function()
    local _s <close> = sq.scope()
    local x = sq.randn({ 64, 256 }, { requires_grad = true })
    local function deep(h)
      for _ = 1, 20 do h = h:tanh() end
      return h
    end
    collectgarbage()
    local before = sq.tensor_memory().live_bytes
    local kept
    do
      local s <close> = sq.scope()
      kept = s:keep(sq.checkpoint(function(h)
        local inner <close> = sq.scope()
        return inner:keep(deep(h))
      end, x))
    end
    collectgarbage()
    t.ok(sq.tensor_memory().live_bytes - before <= 2 * 64 * 256 * 4, "activations are alive")
    kept:sum():backward()
    t.ok(x.grad)
  end,
}
