-- Prints checksums of operators on sizes that are shared out among threads; tests/core/tensor.lua compares the text on
-- one thread with that on two. Forward and backward, f32 and bf16.
local sq = require "sqlune"
local ops = sq.ops

local function show(name, x)
  local path = os.tmpname()
  assert(sq.safetensors.save(path, { x = x:contiguous() }))
  print(name, sq.fs.sha256(path))
  os.remove(path)
end

local function leaf(shape, dtype, stream)
  local x = sq.randn(shape, { seed = 1, stream = stream }):to(dtype)
  x.requires_grad = true
  return x
end

local function both(name, inputs, fn)
  local y = fn(table.unpack(inputs))
  show(name, y)
  y:backward(sq.randn(y.shape, { seed = 2 }):to(y.dtype))
  for i, x in ipairs(inputs) do
    show(("%s, gradient %d"):format(name, i), x.grad)
    x.grad = nil
  end
end

local labels, rows = {}, {}
for i = 1, 300 do labels[i], rows[i] = i % 3 == 0 and -100 or i * 7 % 500, i * 11 % 200 end
local function ids(list) return sq.tensor(list, { dtype = "i64" }) end

show("randn", sq.randn({ 100003 }, { seed = 4 }))
for _, dtype in ipairs { "f32", "bf16" } do
  local _s <close> = sq.scope()
  local function name(what) return dtype .. " " .. what end
  both(name "dropout", { leaf({ 300, 333 }, dtype, 1) }, function(x) return x:dropout(0.3, 5) end)
  both(name "sum", { leaf({ 300, 333 }, dtype, 1) }, function(x) return x:sum() end)
  both(name "columns", { leaf({ 300, 333 }, dtype, 1) }, function(x) return x:sum(1) end)
  both(name "linear", { leaf({ 300, 130 }, dtype, 1), leaf({ 257, 130 }, dtype, 2), leaf({ 257 }, dtype, 3) },
    ops.linear)
  both(name "row", { leaf({ 1, 1030 }, dtype, 1), leaf({ 900, 1030 }, dtype, 2) }, ops.linear)
  both(name "norm", { leaf({ 300, 130 }, dtype, 1), leaf({ 130 }, dtype, 2) },
    function(x, w) return (ops.rms_norm(x, w, 1e-6)) end)
  both(name "swiglu", { leaf({ 300, 333 }, dtype, 1), leaf({ 300, 333 }, dtype, 2) }, ops.swiglu)
  both(name "softmax", { leaf({ 300, 333 }, dtype, 1) }, ops.softmax)
  both(name "embedding", { leaf({ 200, 130 }, dtype, 1) }, function(w) return ops.embedding(ids(rows), w) end)
  both(name "attention",
    { leaf({ 300, 4, 32 }, dtype, 1), leaf({ 300, 2, 32 }, dtype, 2), leaf({ 300, 2, 32 }, dtype, 3) },
    function(q, k, v) return ops.attention(q, k, v, { rows = ids { 0, 1, 200, 300 } }) end)
  both(name "head", { leaf({ 300, 130 }, dtype, 1), leaf({ 500, 130 }, dtype, 2) },
    function(x, w) return ops.linear_cross_entropy(x, w, ids(labels)) end)
  both(name "experts", { leaf({ 300, 600 }, dtype, 1), leaf({ 5, 8, 600 }, dtype, 2), leaf({ 5, 530, 8 }, dtype, 3),
    leaf({ 300, 2 }, dtype, 4) }, function(x, a, b, w)
    local chosen = {}
    for i = 1, 300 do chosen[i] = { i % 7 < 4 and 0 or i % 5, i % 3 - 1 } end
    return ops.moe_lora(x, a, b, ids(chosen), w, { p = 0.2, seed = 1 })
  end)
  show(name "norm of all", ops.global_norm { leaf({ 300, 333 }, dtype, 1), leaf({ 100001 }, dtype, 2) })
end
