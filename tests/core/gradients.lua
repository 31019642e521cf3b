-- Every operator that sq.ops.list() calls differentiable: its gradient in f64 against central differences, and f32 and
-- bf16 against f64. The inputs stand in tests/gradient_cases.lua; an operator without any fails.
local sq = require "sqlune"
local t = require "tests.check"
local all = require "tests.gradient_cases"
local checks = require "tests.operator_checks"
local ops = sq.ops
local close, context, forward, grad_of = checks.close, checks.context, checks.forward, checks.grad_of
local leaves, weigher = checks.leaves, checks.weigher

---The same leaves seen through an operator: gradients then flow through nodes and not straight into leaves.
local function behind(inputs)
  local list = {}
  for i, x in ipairs(inputs) do list[i] = x:affine(1, 0) end
  return list
end

---d loss / d x by central differences.
local function differences(case, c, inputs, x, weighed)
  local flat, d, h = x:detach():reshape { -1 }, {}, 1e-5
  local function loss_at(i, value)
    local _s <close> = sq.scope()
    flat:narrow(1, i, 1):fill_(value)
    return weighed(forward(case, c, inputs)):item()
  end
  for i = 1, x:numel() do
    local v = flat:select(1, i):item()
    d[i] = (loss_at(i, v + h) - loss_at(i, v - h)) / (2 * h)
    flat:narrow(1, i, 1):fill_(v)
  end
  return sq.tensor(d, { dtype = "f64" }):reshape(x.shape)
end

local function check_f64(case, name)
  local _s <close> = sq.scope()
  local c, inputs, weighed = context "f64", leaves(case, "f64"), weigher()
  weighed(forward(case, c, inputs)):backward()
  local straight = {}
  for i, x in ipairs(inputs) do straight[i] = grad_of(x):clone() end
  weighed(forward(case, c, inputs)):backward() -- adds to what is there
  for i, x in ipairs(inputs) do
    close(grad_of(x), straight[i] * 2, 1e-14, 1e-12, name .. ", gradient " .. i .. " added twice")
    x.grad = nil
  end
  weighed(forward(case, c, behind(inputs))):backward()
  for i, x in ipairs(inputs) do
    close(grad_of(x), straight[i], 1e-14, 1e-12, name .. ", gradient " .. i .. " through a node")
  end
  for i, x in ipairs(inputs) do
    local numeric = sq.no_grad(differences, case, c, inputs, x, weighed)
    -- differences of 1e-5 in f64 are themselves off by about 1e-10
    close(straight[i], numeric, 1e-6, 1e-3, name .. ", gradient " .. i)
  end
end

---Outputs and gradients of `dtype` against f64, both from the values that `dtype` holds.
local function check_narrow(case, name, dtype, tolerance)
  local _s <close> = sq.scope()
  local a, b = leaves(case, dtype), {}
  for i, x in ipairs(a) do
    b[i] = x:detach():to "f64"
    b[i].requires_grad = true
  end
  local y, z = { forward(case, context(dtype), a) }, { forward(case, context "f64", b) }
  for i in ipairs(y) do close(y[i], z[i], tolerance, 1e-2, ("%s, output %d"):format(name, i)) end
  weigher()(table.unpack(y)):backward()
  weigher()(table.unpack(z)):backward()
  for i, x in ipairs(a) do close(grad_of(x), grad_of(b[i]), tolerance, 0.1, ("%s, gradient %d"):format(name, i)) end
end

local cases = {
  ["the check sees a wrong gradient"] = function() -- a control: a derivative that forgets a part
    local wrong = { { { 3 } }, function(_, x) return x * x:detach() end }
    t.fails(function() check_f64(wrong, "wrong") end, "wrong, gradient 1: differs")
  end,
  ["every case belongs to a differentiable operator"] = function()
    local known = {}
    for _, op in ipairs(ops.list()) do known[op.name] = op.differentiable end
    for name in pairs(all) do t.ok(known[name], name) end
  end,
}

for _, op in ipairs(ops.list()) do
  if op.differentiable then
    cases[op.name .. " against differences, f64"] = function()
      local list = t.ok(all[op.name], "no case for " .. op.name .. " in tests/gradient_cases.lua")
      for i, case in ipairs(list) do check_f64(case, op.name .. " " .. i) end
    end
    -- f32: unit roundoff 6e-8, sums of a few dozen terms. bf16: 4e-3 at every stored value, a handful in a row.
    for dtype, tolerance in pairs { f32 = 2e-6, bf16 = 2.5e-2 } do
      cases[("%s in %s against f64"):format(op.name, dtype)] = function()
        for i, case in ipairs(all[op.name] or {}) do check_narrow(case, op.name .. " " .. i, dtype, tolerance) end
      end
    end
  end
end

-- Blocks of rows and of keys that are full, cut and odd, where the cases above are small: T, heads, kv heads, width.
cases["attention in bf16 against f64, longer than a block"] = function()
  local packed = { rows = sq.tensor({ 0, 1, 40, 40, 149, 150 }, { dtype = "i64" }) }
  for _, case in ipairs { { 200, 4, 2, 64 }, { 77, 3, 1, 24 }, { 130, 2, 2, 80, { window = 20 } }, { 33, 6, 2, 7 },
    { 150, 4, 4, 32, packed }, { 100, 2, 1, 40, { causal = false } }, { 65, 1, 1, 128 } } do
    local _s <close> = sq.scope()
    local T, heads, kv_heads, width, options = table.unpack(case, 1, 5)
    local function gradients(dtype)
      local inputs = {}
      for i, h in ipairs { heads, kv_heads, kv_heads, heads } do
        inputs[i] = sq.randn({ T, h, width }, { seed = i }):to "bf16":to(dtype):clone()
        inputs[i].requires_grad = i < 4
      end
      local q, k, v, d = table.unpack(inputs)
      ops.attention(q, k, v, options or {}):backward(d)
      return { q.grad:to "f64", k.grad:to "f64", v.grad:to "f64" }
    end
    local got, want = gradients "bf16", gradients "f64"
    for i = 1, 3 do
      local off = ops.global_norm({ (got[i] - want[i]):contiguous() }):item() / ops.global_norm({ want[i] }):item()
      -- The result, the weights and their gradients are rounded to bf16 (2^-9 at most, 2^-9 / sqrt 3 in the mean).
      t.ok(off < 5e-3, ("%d x %d, input %d: %g"):format(T, width, i, off))
    end
  end
end

return cases
