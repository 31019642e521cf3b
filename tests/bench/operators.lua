-- Operators at the shapes of Qwen2.5-0.5B (512 tokens), f32 and bf16, beside PyTorch's: milliseconds of processor time
-- of all threads, which other work disturbs less than wall time. Set OMP_WAIT_POLICY=passive, or waiting counts.
-- sqlune tests/bench/operators.lua [PYTHON [FILTER]]: PYTHON has torch and runs operators_peer.py; FILTER is part of
-- an operator's name ("bf16 attention").
local sq = require "sqlune"
local ops = sq.ops

local python, filter = arg[1], arg[2] or ""
local SECONDS = 0.5 -- spent on each
local TOKENS, WIDTH, INNER, HEADS, GROUPS, DIM, VOCAB = 512, 896, 4864, 14, 2, 64, 151936

local measured = {}
local function measure(name, fn)
  local times, start = {}, sq.sys.clock()
  fn()
  repeat
    local t = os.clock()
    fn()
    times[#times + 1] = (os.clock() - t) * 1e3
  until #times >= 5 and sq.sys.clock() - start > SECONDS
  table.sort(times)
  measured[#measured + 1] = { name, times[(#times + 1) // 2] }
end

local stream = 0
local function leaf(shape, dtype)
  stream = stream + 1
  local x = sq.randn(shape, { seed = 1, stream = stream }):to(dtype):detach()
  x.requires_grad = true
  return x
end

local function wanted(name) return name:find(filter, 1, true) end

---Forward alone, then forward and backward, on inputs of these shapes.
local function both(name, dtype, shapes, fn)
  name = dtype .. " " .. name
  if not wanted(name) then return end
  local _inputs <close> = sq.scope()
  local inputs = {}
  for i, shape in ipairs(shapes) do inputs[i] = leaf(shape, dtype) end
  measure(name .. " forward", function()
    local _s <close> = sq.scope()
    sq.no_grad(function() fn(table.unpack(inputs)) end)
  end)
  local dy
  measure(name .. " both", function()
    local _s <close> = sq.scope()
    local y = fn(table.unpack(inputs))
    dy = dy or sq.ones(y.shape, { dtype = y.dtype }):keep()
    y:backward(dy)
    for _, x in ipairs(inputs) do x.grad = nil end
  end)
end

local labels = {}
for i = 1, TOKENS do labels[i] = i * 7919 % VOCAB end
labels = sq.tensor(labels, { dtype = "i64" })

for _, dtype in ipairs { "f32", "bf16" } do
  local _s <close> = sq.scope()
  for _, shape in ipairs { { WIDTH, WIDTH }, { WIDTH, INNER }, { INNER, WIDTH } } do
    local k, n = shape[1], shape[2]
    both(("linear %dx%d"):format(k, n), dtype, { { TOKENS, k }, { n, k } }, ops.linear)
  end
  for _, rows in ipairs { 1, 8 } do
    local name = ("%s decode %d"):format(dtype, rows)
    if wanted(name) then
      local x, w = leaf({ rows, WIDTH }, dtype), leaf({ VOCAB, WIDTH }, dtype)
      measure(name, function()
        local _t <close> = sq.scope()
        sq.no_grad(function() ops.linear(x, w) end)
      end)
    end
  end
  for _, length in ipairs { 512, 2048 } do
    local rows = sq.tensor({ 0, length }, { dtype = "i64" })
    local shapes = { { length, HEADS, DIM }, { length, GROUPS, DIM }, { length, GROUPS, DIM } }
    both("attention " .. length, dtype, shapes, function(q, k, v) return ops.attention(q, k, v, { rows = rows }) end)
  end
  both("rms_norm", dtype, { { TOKENS, WIDTH }, { WIDTH } }, function(x, w) return (ops.rms_norm(x, w, 1e-6)) end)
  both("swiglu", dtype, { { TOKENS, INNER }, { TOKENS, INNER } }, ops.swiglu)
  both("head", dtype, { { TOKENS, WIDTH }, { VOCAB, WIDTH } },
    function(x, w) return ops.linear_cross_entropy(x, w, labels) end)
end

local peer = {}
if python then
  local run = assert(io.popen(("%s tests/bench/operators_peer.py '%s'"):format(python, filter)))
  for line in run:lines() do
    local what, ms = line:match "^(.-)\t(.+)$"
    if what then peer[what] = tonumber(ms) end
  end
  run:close()
end
print(("%-28s %12s %12s %8s"):format("", "sqlune, ms", "torch, ms", "ratio"))
for _, row in ipairs(measured) do
  local other = peer[row[1]]
  print(("%-28s %12.3f %12s %8s"):format(row[1], row[2], other and ("%.3f"):format(other) or "-",
    other and ("%.2f"):format(other / row[2]) or "-"))
end
