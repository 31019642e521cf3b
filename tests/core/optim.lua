-- AdamW's variants against the same formulas in f64: 8-bit states, stochastic rounding, rates per parameter, skipped
-- steps; norms of the model's parts.
local sq = require "sqlune"
local t = require "tests.check"
local optim, ops = sq.optim, sq.ops

---The 256 values of 8-bit states (docs/formats.md), by rising value.
local function values(signed)
  local list = { 0.0, 1.0 }
  for i = 0, 6 do
    local parts, unit = (signed and 1 or 2) << i, 10.0 ^ (i - 6)
    for k = 0, parts - 1 do
      local v = unit * (0.1 + 0.9 * (k + 0.5) / parts)
      list[#list + 1] = v
      if signed then list[#list + 1] = -v end
    end
  end
  table.sort(list)
  t.eq(#list, 256)
  return list
end

local function nearest(list, x)
  local best = 1
  for i, v in ipairs(list) do
    if math.abs(v - x) < math.abs(list[best] - x) then best = i end
  end
  return best
end

---A step of one tensor of 8-bit states in f64: codes and scales in, weights, codes and scales out.
local function oracle(w, g, m, v, o)
  for first = 1, #w, 256 do
    local last, m_scale, v_scale = math.min(first + 255, #w), 0, 0
    for i = first, last do
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * g[i]
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g[i] * g[i]
      local size = m[i] / (1 - o.beta1 ^ o.step) / (math.sqrt(v[i] / (1 - o.beta2 ^ o.step)) + o.eps)
      w[i] = w[i] * (1 - o.lr * o.weight_decay) - o.lr * size
      m_scale, v_scale = math.max(m_scale, math.abs(m[i])), math.max(v_scale, v[i])
    end
    for i = first, last do -- what the next step sees
      m[i] = m_scale > 0 and o.signed[nearest(o.signed, m[i] / m_scale)] * m_scale or 0
      v[i] = v_scale > 0 and o.unsigned[nearest(o.unsigned, v[i] / v_scale)] * v_scale or 0
    end
  end
end

local function zeros(n)
  local list = {}
  for i = 1, n do list[i] = 0.0 end
  return list
end

local function set_grad(p, values_of_it) p.grad = sq.tensor(values_of_it):reshape(p.shape) end

local cases = {}

cases["8-bit states follow the formulas in f64"] = function()
  local n = 4096 + 100
  local o = { beta1 = 0.9, beta2 = 0.95, eps = 1e-8, lr = 1e-2, weight_decay = 0.1, signed = values(true),
    unsigned = values(false) }
  local p = sq.randn({ n, 1 }, { seed = 3, requires_grad = true })
  local w, m, v = p:reshape({ -1 }):totable(), zeros(n), zeros(n)
  local optimizer = optim.adamw({ "w" }, { p }, { beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1, states = "8bit" })
  t.eq(optimizer.m[1].dtype, "u8")
  for step = 1, 4 do
    local g = sq.randn({ n }, { seed = 4, stream = step }):totable()
    for i = 1, n do g[i] = g[i] * 10.0 ^ (i % 5 - 2) end -- magnitudes that differ within a block
    set_grad(p, g)
    o.step = step
    oracle(w, g, m, v, o)
    optimizer:step(o.lr)
    local mine, off = p:reshape({ -1 }):totable(), 0
    for i = 1, n do
      -- A tie that f32 and f64 break differently moves m by a step of the code: rare, and small in the weight.
      if math.abs(mine[i] - w[i]) > 2e-6 then off = off + 1 end
      t.near(mine[i], w[i], 2e-3, ("step %d, weight %d"):format(step, i))
    end
    t.ok(off <= n // 200, ("step %d: %d of %d weights differ"):format(step, off, n))
  end
end

cases["codes are the nearest values"] = function() -- the values are bitsandbytes 0.50's, to 1.5e-7
  local n = 4096
  local x = {}
  for i = 1, n do x[i] = 0 end
  local numbers = { 1, -1, 0.5, -0.5, 0.1, 0.0999, 1e-3, -1e-5, 3e-7, 1e-7, -2e-7, 0.996, 0.997 }
  table.move(numbers, 1, #numbers, 1, x)
  local p, m = sq.zeros { n }, sq.full({ n }, 127, { dtype = "u8" })
  ops.adamw8_({ p }, { sq.tensor(x) }, { m }, { sq.zeros({ n }, { dtype = "u8" }) }, nil, { sq.zeros { n // 256 } },
    { sq.zeros { n // 256 } }, { lr = 0, beta1 = 0, beta2 = 0.9, eps = 1e-8, weight_decay = 0, step = 1 })
  local codes, list = m:totable(), values(true)
  for i = 1, 20 do t.eq(codes[i], nearest(list, x[i]) - 1, "number " .. i) end
end

cases["8-bit states: small tensors keep full ones, memory is a quarter"] = function()
  local big, small = sq.zeros({ 64, 64 }, { requires_grad = true }), sq.zeros({ 64 }, { requires_grad = true })
  local optimizer = optim.adamw({ "big", "small" }, { big, small }, { states = "8bit" })
  t.eq(optimizer.m[2].dtype, "f32")
  local bytes = 0
  for name, x in pairs(optimizer:tensors()) do
    if name:find "big" then bytes = bytes + x:numel() * (x.dtype == "u8" and 1 or 4) end
  end
  t.eq(bytes, 2 * (4096 + 4096 // 256 * 4))
end

cases["stochastic rounding is right in the mean and takes neighbours only"] = function()
  local n, exact = 1 << 16, 1.0 + 1 / 512 -- bf16 has 1 and 1 + 1/128 there: a quarter of the way
  local p = sq.full({ n, 1 }, 1, { dtype = "bf16", requires_grad = true })
  local optimizer = optim.adamw({ "w" }, { p }, { weight_decay = 0, stochastic_rounding = true, seed = 5 })
  t.eq(next(optimizer.masters), nil)
  p.grad = sq.full({ n, 1 }, -1)
  optimizer:step(1 / 512) -- the first step of AdamW is lr against the gradient's sign
  local sum, up = 0, 0
  for _, x in ipairs(p:reshape({ -1 }):to("f32"):totable()) do
    t.ok(x == 1 or x == 1 + 1 / 128, "not a neighbour: " .. x)
    sum, up = sum + x, up + (x > 1 and 1 or 0)
  end
  -- standard deviation of the share: sqrt(0.25 x 0.75 / 65536) = 0.0017
  t.near(up / n, 0.25, 0.008)
  t.near(sum / n, exact, 0.008 / 128)
end

cases["stochastic rounding: a seed gives one result, tiny steps add up"] = function()
  local function run(seed)
    local p = sq.full({ 100, 80 }, 1, { dtype = "bf16", requires_grad = true })
    local optimizer = optim.adamw({ "w" }, { p }, { weight_decay = 0, stochastic_rounding = true, seed = seed })
    for _ = 1, 50 do
      p.grad = sq.full({ 100, 80 }, 1)
      optimizer:step(1e-4) -- 1/39 of the distance to the next bf16 number below 1
    end
    return p:to "f32"
  end
  local a, b, c = run(1), run(1), run(2)
  t.eq(a:totable(), b:totable())
  t.ok((a - c):abs():max():item() > 0)
  t.near(a:mean():item(), 1 - 50 * 1e-4, 2e-4) -- rounded to nearest it would stay 1
end

cases["rates and decay by parameter"] = function()
  local a, b = sq.ones({ 2, 2 }, { requires_grad = true }), sq.ones({ 2, 2 }, { requires_grad = true })
  local optimizer = optim.adamw({ "a", "b" }, { a, b }, { weight_decay = 0.5,
    rate_of = function(name) return name == "b" and 10 or 1 end, decay_of = function() return false end })
  set_grad(a, { 1, 1, 1, 1 })
  set_grad(b, { 1, 1, 1, 1 })
  optimizer:step(1e-2)
  t.near(a:totable()[1][1], 1 - 1e-2, 1e-6)
  t.near(b:totable()[1][1], 1 - 1e-1, 1e-6)
end

cases["a gradient that is not finite: the step is skipped, everything stays"] = function()
  for _, bad in ipairs { 0 / 0, math.huge, -math.huge } do
    local p = sq.ones({ 2, 2 }, { requires_grad = true })
    local optimizer = optim.adamw({ "w" }, { p })
    set_grad(p, { 1, 2, 3, 4 })
    t.ok(optimizer:step(1e-2, select(2, optim.clip({ p }, 1))))
    local weights, moments = p:totable(), optimizer.m[1]:totable()
    set_grad(p, { 1, bad, 1, 1 })
    local norm, factor = optim.clip({ p }, 0)
    t.ok(norm ~= norm or norm == math.huge)
    t.eq(optimizer:step(1e-2, factor), false)
    t.eq(p:totable(), weights)
    t.eq(optimizer.m[1]:totable(), moments)
    t.eq(optimizer.step_count, 1)
    set_grad(p, { 1, 1, 1, 1 })
    t.ok(optimizer:step(1e-2, select(2, optim.clip({ p }, 1)))) -- the bad gradient is gone
    t.ok(p:totable()[1][1] < weights[1][1])
  end
end

cases["a factor in a tensor: the same step, or none"] = function()
  for _, states in ipairs { "full", "8bit" } do
    local function run(as_tensor)
      local p = sq.rand({ 70, 70 }, { seed = 1, requires_grad = true })
      local optimizer = optim.adamw({ "w" }, { p }, { states = states })
      for step, factor in ipairs { 0.5, 0 / 0, 0.25 } do
        p.grad = sq.rand({ 70, 70 }, { seed = 1 + step })
        local done = optimizer:step(1e-2, as_tensor and sq.tensor(factor, { dtype = "f64" }) or factor)
        t.eq(done, step ~= 2)
      end
      t.eq(optimizer:updates(), 2)
      return p:totable()
    end
    t.eq(run(true), run(false), states)
  end
end

cases["norms of the parts, and of all"] = function()
  local names = { "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
    "model.layers.1.self_attn.k_proj.bias", "model.layers.0.mlp.up_proj.weight",
    "model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight" }
  local params = {}
  for i in ipairs(names) do
    params[i] = sq.zeros({ 2 }, { requires_grad = true })
    set_grad(params[i], { i, 0 })
  end
  local norm, factor, parts = optim.clip(params, 1, names)
  t.near(norm, math.sqrt(1 + 4 + 9 + 16 + 25 + 36 + 49), 1e-12)
  t.near(factor, 1 / (norm + 1e-6), 1e-15)
  t.eq(parts.embed_tokens, 1.0)
  t.near(parts.self_attn, math.sqrt(13), 1e-12)
  t.eq(parts.mlp, 4.0)
  t.near(parts.norm, math.sqrt(61), 1e-12)
  t.eq(parts.lm_head, 7.0)
  t.near(optim.clip(params, 1), norm, 1e-12)
end

cases["the state comes back, and another kind of state is refused"] = function()
  local p = sq.randn({ 80, 80 }, { seed = 1, requires_grad = true })
  local one = optim.adamw({ "w" }, { p }, { states = "8bit" })
  p.grad = sq.randn({ 80, 80 }, { seed = 2 })
  one:step(1e-3)
  local two = optim.adamw({ "w" }, { p }, { states = "8bit" })
  two:restore(one:tensors(), 1)
  t.eq(two.m[1]:totable(), one.m[1]:totable())
  t.eq(two.v_scale[1]:totable(), one.v_scale[1]:totable())
  t.eq(two.step_count, 1)
  local full = optim.adamw({ "w" }, { p })
  t.fails(function() full:restore(one:tensors(), 1) end, "'[mv].w' in u8, these settings want f32")
end

cases["8-bit operators refuse what does not fit"] = function()
  local p, g = sq.zeros { 300 }, sq.zeros { 300 }
  local codes, scale = sq.zeros({ 300 }, { dtype = "u8" }), sq.zeros { 2 }
  local o = { lr = 1, beta1 = 0.9, beta2 = 0.9, eps = 1e-8, weight_decay = 0, step = 1 }
  t.fails(function() ops.adamw8_({ p }, { g }, { g }, { codes }, nil, { scale }, { scale }, o) end, "moments are u8")
  t.fails(function() ops.adamw8_({ p }, { g }, { codes }, { codes }, nil, { sq.zeros { 3 } }, { scale }, o) end,
    "scales are f32 %[2%]")
  t.fails(function() ops.adamw8_({ p }, { g }, { codes }, { codes }, nil, {}, { scale }, o) end, "different lengths")
end

---Leaves of one backward pass, twice, and their gradients as f32: of a model, and of experts.
local function gradients(gradient_dtype)
  local config = { model_type = "qwen2", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 2,
    num_attention_heads = 4, num_key_value_heads = 2, vocab_size = 60, tie_word_embeddings = true }
  local model = assert(sq.models.from_config(config, { dtype = "bf16", train = true, seed = 3 }))
  local leaves, names = model:parameters(), model:names()
  local function leaf(shape, stream) return sq.randn(shape, { seed = 2, stream = stream }):to("bf16"):detach() end
  local a, b = leaf({ 3, 2, 32 }, 1), leaf({ 3, 8, 2 }, 2)
  names = table.move({ "a", "b" }, 1, 2, #names + 1, table.move(names, 1, #names, 1, {}))
  leaves[#leaves + 1], leaves[#leaves + 2] = a, b
  for _, x in ipairs(leaves) do x.requires_grad = true end
  local optimizer = optim.adamw(names, leaves, { gradients = gradient_dtype, stochastic_rounding = true, seed = 1 })
  local function integers(list) return sq.tensor(list, { dtype = "i64" }) end
  local ids, targets = integers { 5, 7, 11, 5, 9 }, integers { 7, 11, -100, 9, 2 }
  local x = sq.randn({ 2, 32 }, { seed = 4 }):to "bf16"
  for _ = 1, 2 do
    model:loss_sum({ ids = ids, targets = targets, starts = { 0, 5 } }):backward()
    ops.moe_lora(x, a, b, integers { { 0 }, { 2 } }, sq.ones({ 2, 1 }, { dtype = "bf16" })):sum():backward()
  end
  local list, dtypes = {}, {}
  for i, p in ipairs(leaves) do list[i], dtypes[p.grad.dtype] = p.grad:to "f32", true end
  local _, factor = optim.clip(leaves, 1)
  t.eq(optimizer:step(1e-2, factor), true)
  return list, next(dtypes), next(dtypes, next(dtypes)), names
end

cases["bf16 gradients are those in f32, rounded"] = function()
  local wide, dtype, other = gradients()
  t.eq({ dtype, other }, { "f32" })
  local narrow, names
  narrow, dtype, other, names = gradients "bf16"
  t.eq({ dtype, other }, { "bf16" })
  for i, g in ipairs(wide) do -- each backward pass is rounded, and their sum
    local off = (narrow[i] - g):abs():max():item()
    t.ok(off <= 2 ^ -7 * g:abs():max():item(), ("%s: %g"):format(names[i], off))
  end
end

cases["grad_dtype is set for bf16 leaves without a gradient"] = function()
  local x = sq.ones({ 2 }, { dtype = "bf16", requires_grad = true })
  t.eq(x.grad_dtype, "f32")
  t.fails(function() x.grad = sq.ones({ 2 }, { dtype = "bf16" }) end, "it wants that shape, f32")
  x.grad_dtype = "bf16"
  x.grad = sq.ones({ 2 }, { dtype = "bf16" })
  t.fails(function() x.grad_dtype = "f32" end, "while there is no gradient")
  x:zero_grad()
  x.grad_dtype = "f32"
  t.eq(x.grad_dtype, "f32")
  t.fails(function() x.grad_dtype = "f64" end, "a bf16 tensor cannot be f64")
  t.fails(function() sq.ones({ 2 }).grad_dtype = "bf16" end, "a f32 tensor cannot be bf16")
end

return cases
