-- What the tests of operators share: inputs of a case of tests/gradient_cases.lua, its loss, comparisons.
local sq = require "sqlune"
local t = require "tests.check"

local M = {}

local function numel(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

---Distinct values between -2 and 2, none nearer to 0 than 0.02 nor to another one than 0.0005: differences of 1e-5 step
---over no kink. "positive": 0.3 to 2.3.
local function draw(shape, place, how)
  local list = {}
  for i = 1, numel(shape) do
    local x = ((i * 389 + place * 1009) % 4001 - 2000) / 1000
    if how == "positive" then
      x = 0.3 + (x + 2) / 2
    else
      x = x + (x < 0 and -0.02 or 0.02)
    end
    list[i] = x
  end
  return sq.tensor(list, { dtype = "f64" }):reshape(shape)
end

---What a case may ask for: dtype, wide (of tables), device, ids(list).
function M.context(dtype, device)
  local c = { dtype = dtype, wide = dtype == "f64" and "f64" or "f32", device = device or "cpu" }
  function c.ids(list) return sq.tensor(list, { dtype = "i64" }) end
  return c
end

---A function that sums all outputs, each element with a weight of its own: drawn once, as differences ask thousands of
---times.
function M.weigher()
  local weights = {}
  return function(...)
    local total
    for i, y in ipairs { ... } do
      weights[i] = weights[i] or draw(y.shape, 7 + i):to(y.dtype, y.device)
      local part = (y * weights[i]):sum():to "f64"
      total = total and total + part or part
    end
    return total
  end
end

---Tensors that want gradients, on the cpu or `device`.
function M.leaves(case, dtype, device)
  local list = {}
  for i, shape in ipairs(case[1]) do
    list[i] = draw(shape, i, case.values):to(dtype, device or "cpu")
    list[i].requires_grad = true
  end
  return list
end

function M.forward(case, c, inputs) return case[2](c, table.unpack(inputs)) end

local function norm(x) return sq.ops.global_norm({ x:contiguous():to "f64" }):item() end

---Norm of a - b against that of b, in f64; `floor` is added to the latter.
function M.close(a, b, tolerance, floor, what)
  t.eq(a.shape, b.shape, what)
  local d, size = norm(a:to "f64" - b:to "f64"), norm(b)
  if d ~= d or d > tolerance * (size + floor) then
    error(string.format("%s: differs by %g of %g", what, d, size), 2)
  end
end

function M.grad_of(x) return x.grad or sq.zeros(x.shape, { dtype = "f64", device = x.device }) end

return M
