-- Hooks of gradients: called once in a backward, when nothing more will be added; what they may do there.
local sq = require "sqlune"
local t = require "tests.check"
local sweep = require "tests.sweep"
local ops = sq.ops

local function leaf(shape, seed) return sq.randn(shape, { dtype = "f64", seed = seed, requires_grad = true }) end

---The leaves by name, each with a hook that takes down its name and a copy of its gradient.
local function watched(leaves)
  local calls = {}
  for name, w in pairs(leaves) do
    w:on_grad(function(same) calls[#calls + 1] = { name = name, grad = same.grad:totable() } end)
  end
  return calls
end

local function names(calls)
  local list = {}
  for i, call in ipairs(calls) do list[i] = call.name end
  return list
end

local function check_complete(calls, leaves)
  for _, call in ipairs(calls) do t.eq(call.grad, leaves[call.name].grad:totable(), call.name) end
end

return {
  ["leaves complete from the last layer to the first; one that is used twice, after both"] = function()
    local _s <close> = sq.scope()
    local w = { a = leaf({ 4, 4 }, 1), b = leaf({ 4, 4 }, 2), tied = leaf({ 4, 4 }, 3) }
    local calls = watched(w)
    local x = sq.randn({ 3, 4 }, { dtype = "f64", seed = 9 })
    local h = ops.linear(ops.linear(ops.linear(x, w.tied):tanh(), w.a):tanh(), w.b):tanh()
    ops.linear(h, w.tied):sum():backward()
    t.eq(names(calls), { "b", "a", "tied" })
    check_complete(calls, w)
    x:close()
  end,

  ["a leaf that no gradient reaches has no call; accumulation calls each time"] = function()
    local _s <close> = sq.scope()
    local w = { used = leaf({ 2 }, 1), unused = leaf({ 2 }, 2) }
    local calls = watched(w)
    local y = (w.used * 3):sum()
    local _ = (w.unused * 3):sum()
    y:backward()
    y = (w.used * 4):sum()
    y:backward()
    t.eq(names(calls), { "used", "used" })
    t.eq({ calls[1].grad, calls[2].grad }, { { 3.0, 3.0 }, { 7.0, 7.0 } })
    w.used:backward(sq.ones({ 2 }, { dtype = "f64" })) -- the leaf itself is the root
    t.eq(calls[3].grad, { 8.0, 8.0 })
  end,

  ["views, embeddings and bf16 leaves"] = function()
    local _s <close> = sq.scope()
    local table_ = sq.randn({ 7, 4 }, { seed = 1, dtype = "bf16", requires_grad = true })
    local w = { table_ = table_ }
    local calls = watched(w)
    local h = ops.embedding(sq.tensor({ 1, 3, 3 }, { dtype = "i64" }), table_)
    ops.linear(h, table_):to "f32":sum():backward()
    t.eq(names(calls), { "table_" })
    check_complete(calls, w)
    local v = { v = leaf({ 3, 2 }, 5) }
    calls = watched(v)
    ops.linear(leaf({ 2, 3 }, 6), v.v:transpose(1, 2)):sum():backward()
    check_complete(calls, v)
    t.eq(#calls, 1)
  end,

  ["weights inside checkpoints complete once, after the last of them"] = function()
    local _s <close> = sq.scope()
    local w = { shared = leaf({ 4, 4 }, 1), own = leaf({ 4, 4 }, 2) }
    local calls = watched(w)
    local x = leaf({ 3, 4 }, 3)
    local function first(h) return ops.linear(h, w.shared):tanh() end
    local function second(h) return ops.linear(ops.linear(h, w.shared), w.own):tanh() end
    local h = sq.checkpoint(second, sq.checkpoint(first, x))
    ops.linear(h, w.shared):sum():backward()
    t.eq(names(calls), { "own", "shared" })
    check_complete(calls, w)
    -- and the same numbers as without checkpoints
    local plain = { shared = w.shared.grad:totable(), own = w.own.grad:totable() }
    for _, p in pairs(w) do p.grad = nil end
    ops.linear(second(first(x)), w.shared):sum():backward()
    t.eq({ shared = w.shared.grad:totable(), own = w.own.grad:totable() }, plain)
  end,

  ["a leaf that a backward in Lua comes upon by itself is called at the end"] = function()
    local _s <close> = sq.scope()
    local late, w = leaf({ 2 }, 1), leaf({ 2 }, 2)
    local calls = watched { late = late, w = w }
    local odd = sq.custom { forward = function(_, x) return x * 2 end, backward = function(_, d)
      sq.with_grad(function() (late * 5):sum():backward() end)
      return d
    end }
    odd((w * 3)):sum():backward()
    t.eq(names(calls), { "w", "late" })
    t.eq(calls[2].grad, { 5.0, 5.0 })
  end,

  ["an optimizer inside backward: the same weights, and gradients never all at once"] = function()
    local _s <close> = sq.scope()
    local function train(inside)
      local weights, x = {}, sq.randn({ 8, 64 }, { seed = 99 })
      for i = 1, 6 do weights[i] = sq.randn({ 64, 64 }, { seed = i, requires_grad = true }) end
      local function update(p)
        local _u <close> = sq.scope()
        sq.no_grad(function() p:copy_(p - p.grad * 0.01) end)
        p.grad = nil
      end
      for _, p in ipairs(inside and weights or {}) do p:on_grad(update) end
      local peak = 0
      for _ = 1, 3 do
        local _step <close> = sq.scope()
        local h = x
        for _, p in ipairs(weights) do h = ops.linear(h, p):tanh() end
        local loss = h:square():sum()
        collectgarbage()
        sq.tensor_memory(true)
        local base = sq.tensor_memory().live_bytes
        loss:backward()
        peak = math.max(peak, sq.tensor_memory().peak_bytes - base)
        for _, p in ipairs(inside and {} or weights) do update(p) end
      end
      local numbers = {}
      for i, p in ipairs(weights) do numbers[i] = p:totable() end
      return numbers, peak
    end
    local after, peak_after = train(false)
    local within, peak_within = train(true)
    t.eq(within, after)
    t.ok(peak_within < peak_after - 2 * 64 * 64 * 4, ("%d and %d bytes"):format(peak_within, peak_after))
  end,

  ["hooks end, change and refuse"] = function()
    local _s <close> = sq.scope()
    local w, count = leaf({ 2 }, 1), 0
    w:on_grad(function(same)
      count = count + 1
      same:on_grad(nil) -- once only
    end)
    for _ = 1, 2 do (w * 2):sum():backward() end
    t.eq(count, 1)
    w:on_grad(function() error "not today" end)
    t.fails(function() (w * 2):sum():backward() end, "hook of a gradient: .*not today")
    w:on_grad(function() error {} end)
    t.fails(function() (w * 2):sum():backward() end, "hook of a gradient: it raised a table")
    t.ok(sq.grad_enabled())
    t.fails(function() (w * 2):on_grad(print) end, "only a leaf that wants a gradient")
    t.fails(function() sq.zeros({ 2 }):on_grad(print) end, "only a leaf that wants a gradient")
    t.fails(function() w:on_grad(7) end, "function expected")
    w:on_grad(nil)
  end,

  ["a hook goes with its tensor"] = function()
    local held = setmetatable({}, { __mode = "v" })
    do
      local w, big = leaf({ 2 }, 1), {}
      held.big = big
      w:on_grad(function() return big end)
      w:close()
    end
    collectgarbage()
    collectgarbage()
    t.eq(held.big, nil)
  end,

  ["every allocation fails once"] = function()
    sweep("hooks", function()
      local _s <close> = sq.scope()
      local w, x, sum = leaf({ 2, 2 }, 1), leaf({ 2, 2 }, 2), 0
      w:on_grad(function(same) sum = sum + same.grad:sum():item() end)
      sq.checkpoint(function(h) return ops.linear(h, w):tanh() end, x):sum():backward()
      return sum
    end)
  end,
}
