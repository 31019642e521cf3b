-- Tensors on a card: where they are made, moved, read, refused.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local function on_card(fn)
  return function()
    local _s <close> = sq.scope()
    fn()
  end
end

local emulated = (sq.devices()[2] or {}).description == "emulated card"

local cases = {
  ["made, moved, read"] = function()
    local x = sq.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { device = "cuda:0" })
    t.eq(x.device, "cuda:0")
    t.eq(x:to("cpu"):totable(), { { 1, 2, 3 }, { 4, 5, 6 } })
    t.eq(x:transpose(1, 2):totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } }) -- a view that does not lie in order
    t.eq(x:select(1, 2):to { device = "cpu" }:totable(), { 4, 5, 6 })
    t.eq(x:narrow(2, 2, 1):to("bf16", "cpu"):totable(), { { 2 }, { 5 } })
    t.eq(tostring(x):match "^[^\n]*", "f32 [2, 3] cuda:0")
    t.eq(x:select(1, 1):select(1, 3):item(), 3)
    t.eq(sq.full({ 3 }, 2.5, { device = "cuda" }):totable(), { 2.5, 2.5, 2.5 })
    t.eq(sq.arange(3, 5, { device = "cuda:0" }):totable(), { 3, 4, 5 })
    t.eq((x * 2 - 1):to("cpu"):totable(), { { 1, 3, 5 }, { 7, 9, 11 } })
    t.eq(sq.zeros({ 2 }, { device = "cuda:0" }):totable(), { 0, 0 })
  end,

  ["f32 in TF32 only where that is allowed"] = function()
    local function random(seed, ...) return sq.randn({ ... }, { device = "cuda:0", seed = seed }) end
    local x, w = random(1, 40, 64), random(2, 64, 48)
    local function off(want) return (ops.matmul(x, w):to "f64" - want):abs():max():item() end
    local exact = ops.matmul(x:to "f64", w:to "f64")
    t.ok(off(exact) < 1e-5)
    sq.allow_tf32(true)
    local rounded = off(exact)
    sq.allow_tf32(false)
    t.ok(rounded < 0.05, rounded)
    if emulated then t.ok(rounded > 1e-4, rounded) end -- a card's library may still choose f32
    t.ok(off(exact) < 1e-5)
  end,

  ["every product of a model is the library's"] = function()
    local function random(...) return sq.randn({ ... }, { device = "cuda:0", seed = 3 }) end
    for _, dtype in ipairs { "f32", "bf16" } do
      local x, w, bias = random(24, 40):to(dtype), random(32, 40):to(dtype), random(32):to(dtype)
      local a, b = random(4, 40), random(32, 4)
      for _, leaf in ipairs { x, w, bias, a, b } do leaf.requires_grad = true end
      local before = sq.device_counts()
      local sum = ops.linear(x, w, bias):to "f32" + ops.lora_linear(x, w, bias, a, b, { scale = 2 }):to "f32"
      sum:sum():backward()
      local now = sq.device_counts()
      t.ok(now.launches - before.launches > 10)
      t.eq(now.plain_products - before.plain_products, 0, dtype)
    end
  end,

  ["random numbers do not depend on the device"] = function()
    for _, dtype in ipairs { "f32", "f64", "bf16" } do
      local how = { dtype = dtype, seed = 7, stream = 3 }
      local here = sq.rand({ 1001 }, how)
      how.device = "cuda:0"
      t.eq(sq.rand({ 1001 }, how):totable(), here:totable(), dtype)
      local x = sq.ones({ 3, 77 }, { dtype = dtype })
      t.eq(x:to("cuda:0"):dropout(0.3, 5, 2, 9):totable(), x:dropout(0.3, 5, 2, 9):totable(), dtype)
    end
  end,

  ["indexes lie where they like"] = function()
    local x = sq.tensor({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, { device = "cuda:0" })
    local index = sq.tensor({ 2, 0 }, { dtype = "i64" })
    for _, device in ipairs { "cpu", "cuda:0" } do
      t.eq(ops.gather_rows(x, index:to(device)):totable(), { { 5, 6 }, { 1, 2 } }, device)
    end
    for _, list in ipairs { { 3 }, { -1 } } do
      for _, how in ipairs { { dtype = "i64" }, { dtype = "i32", device = "cuda:0" } } do
        t.fails(function() ops.gather_rows(x, sq.tensor(list, how)) end, "place 1%) is not below 3")
      end
    end
    index:fill_(1) -- the card's copy of it is made anew
    t.eq(ops.gather_rows(x, index):totable(), { { 3, 4 }, { 3, 4 } })
    t.eq(ops.write_rows_(x, index:narrow(1, 1, 1), sq.tensor({ { 9, 9 } }, { device = "cuda:0" })):totable(),
      { { 1, 2 }, { 9, 9 }, { 5, 6 } })
  end,

  ["an index on the card: what is no row is passed over, without a wait"] = function()
    local rows = { { 1, 2 }, { 3, 4 }, { 5, 6 } }
    local x = sq.tensor(rows, { device = "cuda:0", requires_grad = true })
    local index = sq.tensor({ 2, 3, 0, -1, 1 << 40, 2 }, { dtype = "i64", device = "cuda:0" })
    local wait = sq.device_counts().waits
    local y = ops.gather_rows(x, index)
    local z = ops.scatter_rows(y + 1, index, 3)
    local written = ops.write_rows_(x:detach() * 0, index, y)
    ops.sum(z):backward()
    t.eq(sq.device_counts().waits, wait)
    t.eq(y:totable(), { { 5, 6 }, { 0, 0 }, { 1, 2 }, { 0, 0 }, { 0, 0 }, { 5, 6 } })
    t.eq(z:totable(), { { 2, 3 }, { 0, 0 }, { 12, 14 } })
    t.eq(written:totable(), { { 1, 2 }, { 0, 0 }, { 5, 6 } })
    t.eq(x.grad:totable(), { { 1, 1 }, { 0, 0 }, { 2, 2 } })
    t.eq(ops.embedding(index, x):totable(), y:totable())
    local many = sq.tensor({ 0, 1, 0, 2, 1, 0, 5, 0 }, { dtype = "i64", device = "cuda:0" })
    t.eq(ops.scatter_rows(sq.ones({ 8 }, { device = "cuda:0" }), many, 3):totable(), { 4, 2, 1 })
  end,

  ["experts' ids on the card: what no expert has is none"] = function()
    local function result(device, ids)
      local function drawn(shape, stream) return sq.randn(shape, { seed = 1, stream = stream }):to(device) end
      return ops.moe_lora(drawn({ 4, 5 }, 1), drawn({ 2, 3, 5 }, 2), drawn({ 2, 6, 3 }, 3),
        sq.tensor(ids, { dtype = "i64", device = device }), drawn({ 4, 1 }, 4)):to "f64":to "cpu"
    end
    local want = result("cpu", { { 0 }, { -1 }, { 1 }, { -1 } })
    local got = result("cuda:0", { { 0 }, { 2 }, { 1 }, { 1 << 40 } })
    t.ok((got - want):abs():max():item() < 1e-5)
    t.ok(want:select(1, 3):abs():max():item() > 1e-3)
    t.fails(function() result("cpu", { { 0 }, { 2 }, { 1 }, { 0 } }) end, "index 2 %(place 2%) is not below 2")
  end,

  ["gradients cross devices"] = function()
    local w = sq.tensor({ 1, 2 }, { requires_grad = true })
    local loss = (w:to "cuda:0" * 3):sum() * 2
    loss:backward()
    t.eq(w.grad.device, "cpu")
    t.eq(w.grad:totable(), { 6, 6 })
    local v = sq.tensor({ 1, 2 }, { requires_grad = true, device = "cuda:0" })
    v:to("f64", "cpu"):square():sum():backward()
    t.eq(v.grad.device, "cuda:0")
    t.eq(v.grad:totable(), { 2, 4 })
  end,

  ["what is refused"] = function()
    local here, there = sq.ones { 2 }, sq.ones({ 2 }, { device = "cuda:0" })
    t.fails(function() return here + there end, "add: devices differ: f32 %[2%] on cpu, f32 %[2%] on cuda:0")
    t.fails(function() ops.cat { there, here } end, "cat: devices differ")
    t.fails(function() ops.swiglu(here, there) end, "swiglu: devices differ")
    t.fails(function() ops.global_norm { there, here } end, "devices differ")
    t.fails(function() there.grad = here end, "no gradient")
    t.fails(function() sq.ones({ 1 }, { device = "cuda:99" }) end, "no device 'cuda:99': the last one is cuda:%d")
    for _, name in ipairs { "gpu", "cuda:", "cuda:-1", "cuda:1x", "cudaN" } do
      t.fails(function() sq.ones({ 1 }, { device = name }) end, "no device '" .. name:gsub("%-", "%%-") .. "'")
    end
    t.fails(function() there:to "cuda:99" end, "no device")
  end,

  ["copies in place, and through files"] = function()
    local there = sq.zeros({ 2, 2 }, { device = "cuda:0" })
    ops.copy_(there, sq.tensor { { 1, 2 }, { 3, 4 } })
    ops.copy_(there:select(2, 1), sq.tensor({ 7, 8 }, { dtype = "f64" }))
    t.eq(there:totable(), { { 7, 2 }, { 8, 4 } })
    local path = t.tmpdir() .. "/x.safetensors"
    t.ok(sq.safetensors.save(path, { x = there, y = there:transpose(1, 2) }))
    local stored = sq.safetensors.load(path)
    t.eq(stored.x:totable(), { { 7, 2 }, { 8, 4 } })
    t.eq(stored.y:totable(), { { 7, 8 }, { 2, 4 } })
  end,

  ["values are fetched while the host goes on"] = function()
    local x = sq.tensor({ { 1, 2 }, { 3, 4 } }, { device = "cuda:0" })
    local whole, column = x:fetch(), x:select(2, 2):fetch()
    local before = sq.device_counts()
    x:fill_(9)
    t.eq(sq.device_counts().waits, before.waits)
    while not whole:ready() do sq.sys.sleep(0.001) end
    t.eq(whole:wait():totable(), { { 1, 2 }, { 3, 4 } })
    t.eq(whole:wait().device, "cpu")
    t.eq(column:wait():totable(), { 2, 4 })
    local forgotten = x:fetch()
    forgotten:close()
    t.fails(function() forgotten:wait() end, "closed")
    t.ok(sq.device_counts().fetches >= before.fetches + 1)
    local here = sq.tensor { 5 }
    local fetched = here:fetch()
    here:fill_(6)
    t.eq(fetched:ready(), true)
    t.eq(fetched:wait():item(), 5)
  end,

  ["the card skips a step whose norm is not finite, and says so later"] = function()
    for _, states in ipairs { "full", "8bit" } do
      local function run(device)
        local p = sq.rand({ 70, 70 }, { seed = 1, device = device, requires_grad = true })
        local optimizer = sq.optim.adamw({ "w" }, { p }, { states = states })
        local weights
        for step, scale in ipairs { 1, 0 / 0, math.huge, 1 } do
          p.grad = sq.rand({ 70, 70 }, { seed = 1 + step, device = device }) * scale
          local waits = sq.device_counts().waits
          local norms, factor = sq.optim.clip_on_device({ p }, 0.5)
          t.eq(norms.device, device)
          optimizer:step(1e-2, factor)
          if step == 1 then t.eq(sq.device_counts().waits, waits) end
          if step == 3 then t.eq(p:totable(), weights) end
          weights = p:totable()
        end
        t.eq(optimizer:updates(), 2)
        return p:to "cpu"
      end
      local off = (run "cuda:0" - run "cpu"):abs():max():item()
      t.ok(off < 1e-6, ("%s: %g"):format(states, off))
    end
  end,

  ["memory is counted for each device, and goes back"] = function()
    local before = sq.tensor_memory(true, "cuda:0")
    local host = sq.tensor_memory().live_bytes
    local x = sq.zeros({ 1000, 1000 }, { device = "cuda:0" })
    t.eq(sq.tensor_memory(false, "cuda:0").live_bytes - before.live_bytes, 4000000)
    t.ok(sq.tensor_memory().live_bytes - host < 4096)
    x:close()
    local after = sq.tensor_memory(false, "cuda:0")
    t.eq(after.live_bytes, before.live_bytes)
    t.eq(after.live_blocks, before.live_blocks)
    t.eq(after.peak_bytes - before.live_bytes, 4000000)
    sq.synchronize "cuda:0"
    sq.synchronize "cpu"
  end,
}
for name, case in pairs(cases) do cases[name] = on_card(case) end
return t.with_card(cases)
