-- Tensors from Lua: making, viewing, converting, printing; what is refused and how it is said; scopes; gradients on and
-- off; the same numbers on any number of threads.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local function ids(list) return sq.tensor(list, { dtype = "i64" }) end
local function live() return sq.tensor_memory().live_blocks end
local function settle()
  collectgarbage()
  collectgarbage()
end

local function wanting(values, dtype) return sq.tensor(values, { dtype = dtype or "f32", requires_grad = true }) end

return {
  ["making"] = function()
    t.eq(sq.tensor({ { 1, 2 }, { 3, 4 } }):totable(), { { 1.0, 2.0 }, { 3.0, 4.0 } })
    t.eq(sq.tensor(2.5):totable(), 2.5)
    t.eq(sq.tensor(2.5).shape, {})
    t.eq(ids({ 1 << 62, -5 }):totable(), { 1 << 62, -5 }) -- not through a double
    t.eq(sq.zeros({ 2, 1 }):totable(), { { 0.0 }, { 0.0 } })
    t.eq(sq.ones({ 2 }, { dtype = "u8" }):totable(), { 1, 1 })
    t.eq(sq.full({ 2 }, -3, { dtype = "i32" }):totable(), { -3, -3 })
    t.eq(sq.arange(3, 6):totable(), { 3, 4, 5, 6 })
    t.eq(sq.arange(1, 0).shape, { 0 })
    t.eq(sq.arange(0, 1, { dtype = "f64" }):totable(), { 0.0, 1.0 })
    local x = sq.zeros({ 2, 3, 4 }, { dtype = "bf16" })
    t.eq({ x.dtype, x.device, x.ndim, x:numel(), x:size(1), x:size(-1) }, { "bf16", "cpu", 3, 24, 2, 4 })
    t.eq(x.requires_grad, false)
    t.eq(wanting({ 1 }).requires_grad, true)
  end,

  ["nothing at all"] = function()
    t.eq(sq.tensor({}).shape, { 0 })
    t.eq(sq.tensor({ {}, {} }).shape, { 2, 0 })
    t.eq((sq.tensor({}) + 1).shape, { 0 })
    t.eq(sq.tensor({}):sum():item(), 0.0)
    t.ok(sq.tensor({}):mean():item() ~= sq.tensor({}):mean():item(), "the mean of nothing is NaN")
    t.fails(function() return sq.tensor({}):max() end, "max: of nothing")
    t.eq(ops.matmul(sq.zeros { 2, 0 }, sq.zeros { 0, 3 }):totable(), { { 0.0, 0.0, 0.0 }, { 0.0, 0.0, 0.0 } })
    t.eq(ops.linear(sq.zeros { 2, 0 }, sq.zeros { 1, 0 }, sq.ones { 1 }):totable(), { { 1.0 }, { 1.0 } })
    t.eq(ops.cat({ sq.tensor {}, sq.ones { 2 } }):totable(), { 1.0, 1.0 })
    t.eq(sq.randn({ 0, 3 }).shape, { 0, 3 })
  end,

  ["views"] = function()
    local x = sq.arange(1, 6):reshape { 2, 3 }
    t.eq(x:transpose(1, 2):totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
    t.eq(x:transpose(1, 2):is_contiguous(), false)
    t.eq(x:transpose(1, 2):contiguous():is_contiguous(), true)
    t.eq(x:narrow(2, 2, 2):totable(), { { 2, 3 }, { 5, 6 } })
    t.eq(x:select(1, 2):totable(), { 4, 5, 6 })
    t.eq(x:select(-1, 3):totable(), { 3, 6 })
    t.eq(sq.tensor({ { 1 }, { 2 } }):expand({ 2, 2 }):totable(), { { 1.0, 1.0 }, { 2.0, 2.0 } })
    t.eq(x:permute({ 2, 1 }):reshape({ -1 }):totable(), { 1, 4, 2, 5, 3, 6 })
    x:select(1, 1):fill_(0) -- views share the bytes
    t.eq(x:totable(), { { 0, 0, 0 }, { 4, 5, 6 } })
    t.eq(x:clone():fill_(1):totable(), { { 1, 1, 1 }, { 1, 1, 1 } })
    t.eq(x:totable()[2], { 4, 5, 6 })
  end,

  ["conversion"] = function()
    -- bf16 keeps 8 bits: ties go to the even neighbour
    local x = sq.tensor { 1 + 1 / 256, 1 + 3 / 256, 1 + 1 / 128 + 1 / 1024, -1 - 1 / 256, 3.3895e38, 3.4e38, 1e-45 }
    t.eq(x:to("bf16"):totable(), { 1.0, 1.015625, 1.0078125, -1.0, 0x1.fep127, math.huge, 0.0 })
    t.eq(sq.tensor({ 65504, 65520, 2 ^ -25, 2 ^ -24 }):to("f16"):totable(), { 65504.0, math.huge, 0.0, 2 ^ -24 })
    for _, dtype in ipairs { "bf16", "f16", "f32", "f64" } do
      local y = sq.tensor({ 0 / 0, 1 / 0, -1 / 0 }, { dtype = "f64" }):to(dtype):to("f64"):totable()
      t.ok(y[1] ~= y[1], dtype .. ": NaN")
      t.eq({ y[2], y[3] }, { math.huge, -math.huge })
    end
    -- NaNs whose payload lies in the bits that bf16 drops stay NaN
    local bits = sq.tensor({ 0 / 0 }):to "bf16"
    t.ok(bits:item() ~= bits:item())
    t.eq(sq.tensor({ 2.7, -2.7 }):to("i64"):totable(), { 2, -2 })
    t.eq(ids({ 3, 255 }):to("u8"):to("f32"):totable(), { 3.0, 255.0 })
    t.fails(function() return sq.ones({ 1 }):to "f8" end, "to: no dtype 'f8'")
  end,

  ["arithmetic"] = function()
    local x = sq.tensor { 1, 2 }
    t.eq((1 - x):totable(), { 0.0, -1.0 })
    t.eq((2 / x):totable(), { 2.0, 1.0 })
    t.eq((-x * 3 + x):totable(), { -2.0, -4.0 })
    t.eq((ids { 5, 6 } + 1):totable(), { 6, 7 })
    t.eq(x:lt(sq.tensor { 1.5, 1.5 }):totable(), { 1, 0 })
    t.eq({ x:argmax():item(), x:max():item() }, { 1, 2.0 })
    local values, places = sq.tensor({ { 1, 5, 3 }, { 2, 2, 0 } }):topk(2)
    t.eq(values:totable(), { { 5.0, 3.0 }, { 2.0, 2.0 } })
    t.eq(places:totable(), { { 1, 2 }, { 0, 1 } })
    local nan = 0 / 0
    t.eq(select(2, sq.tensor({ { 1, nan, 3, nan }, { nan, nan, nan, nan } }):topk(3)):totable(),
      { { 1, 3, 2 }, { 0, 1, 2 } })
  end,

  ["printing"] = function()
    t.eq(tostring(sq.tensor(3.5)), "f32 [] cpu\n     3.5000")
    t.eq(tostring(ids { { 1, 2 }, { 3, 4 } }), "i64 [2, 2] cpu\n      1      2\n      3      4")
    t.eq(tostring(sq.tensor { 1e-7, 0 / 0, -1 / 0 }), "f32 [3] cpu, 1 NaN\n  1.000e-07        nan       -inf")
    t.eq(tostring(sq.arange(1, 30)), "i64 [30] cpu\n      1      2      3      4 ..     27     28     29     30")
    local _, lines = tostring(sq.zeros { 100, 2 }):gsub("\n", "")
    t.eq(lines, 9) -- 4 rows, two dots, 4 rows
    t.eq(tostring(sq.tensor {}), "f32 [0] cpu")
    local x = sq.ones { 1 }
    x:close()
    t.eq(tostring(x), "tensor (closed)")
  end,

  ["what is refused"] = function()
    local x, i = sq.ones { 2, 3 }, ids { 0 }
    local refused = {
      ["rows of dimension 2 have different lengths"] = function() return sq.tensor { { 1, 2 }, { 3 } } end,
      ["element 2 is a string"] = function() return sq.tensor { 1, "x" } end,
      ["1.5 does not fit i64"] = function() return ids { 1.5 } end,
      ["256 does not fit u8"] = function() return sq.tensor({ 256 }, { dtype = "u8" }) end,
      ["2.5 does not fit i32"] = function() return sq.full({ 1 }, 2.5, { dtype = "i32" }) end,
      ["0.5 does not fit i64"] = function() return i + 0.5 end,
      ["fill_: 0.5 does not fit i64 %[1%]"] = function() return i:fill_(0.5) end,
      ["no dtype 'f8'"] = function() return sq.zeros({ 1 }, { dtype = "f8" }) end,
      ["unknown option 'dtyp'"] = function() return sq.zeros({ 1 }, { dtyp = "f32" }) end,
      ["no device 'cuda:99'"] = function() return sq.zeros({ 1 }, { device = "cuda:99" }) end,
      ["dimension 2 has size %-1"] = function() return sq.zeros { 1, -1 } end,
      ["at most 6 numbers, got 7"] = function() return sq.zeros { 1, 1, 1, 1, 1, 1, 1 } end,
      ["out of memory: .* MiB wanted"] = function() return sq.zeros { 1 << 55 } end,
      ["add: shapes do not fit: f32 %[2, 3%], f32 %[4%]"] = function() return x + sq.ones { 4 } end,
      ["add: dtypes differ: f32 %[2, 3%], bf16 %[3%]"] = function() return x + sq.ones({ 3 }, { dtype = "bf16" }) end,
      ["exp: wants f32, bf16 or f64, got i64 %[1%]"] = function() return i:exp() end,
      ["sum: unknown option 'dims'"] = function() return x:sum { dims = 1 } end,
      ["sum: 'dim' must be an integer, got string"] = function() return x:sum { dim = "a" } end,
      ["sum: dimensions count from 1"] = function() return x:sum(0) end,
      ["sum: no dimension 3 in f32 %[2, 3%]"] = function() return x:sum(3) end,
      ["sum: no dimension %-3 in"] = function() return x:sum(-3) end,
      ["linear: 'weight' is missing"] = function() return ops.linear(x) end,
      ["linear: 'weight' must be a tensor, got number"] = function() return ops.linear(x, 1) end,
      ["linear: x f32 %[2, 3%] does not fit weight f32 %[2, 2%]"] = function() return x:linear(sq.ones { 2, 2 }) end,
      ["exp takes 1 arguments, got 2"] = function() return x:exp(1) end,
      ["narrow: places 2 to 4 of dimension 2"] = function() return x:narrow(2, 2, 3) end,
      ["select: places 0 to 0"] = function() return x:select(1, 0) end,
      ["reshape: f32 %[2, 3%] has 6 elements, the new shape 4"] = function() return x:reshape { 2, 2 } end,
      ["reshape: size 4 of dimension 2"] = function() return x:reshape { 1 << 62, 4 } end,
      ["permute: every dimension must be named once"] = function() return x:permute { 1, 1 } end,
      ["gather_rows: index 2 %(place 1%) is not below 2"] = function() return x:gather_rows(ids { 2 }) end,
      ["gather_rows: index %-1"] = function() return x:gather_rows(ids { -1 }) end,
      ["cross_entropy: index 3 %(place 2%)"] = function() return x:cross_entropy(ids { 0, 3 }) end,
      ["cross_entropy: labels is %[N%] with N = 2"] = function() return x:cross_entropy(i) end,
      ["dropout: p is in %[0, 1%), got 1"] = function() return x:dropout(1, 1) end,
      ["topk: k is 1 to 3, got 4"] = function() return x:topk(4) end,
      ["cat: tensor 2 has another shape"] = function() return ops.cat { x, sq.ones { 2, 2, 2 } } end,
      ["cat: 'list'%[1%] is no live tensor"] = function() return ops.cat { 1 } end,
      ["sample: temperature is 0 or more"] = function() return x:sample(-1) end,
      ["sample: top_p is in %(0, 1%]"] = function() return x:sample { top_p = 0 } end,
      ["attention: rows, keys and lengths do not fit"] = function()
        local q = sq.ones { 2, 1, 2 }
        return ops.attention(q, q, q, { rows = ids { 0, 3 } })
      end,
      ["attention: sequences 1 and 2 share keys: no gradient"] = function()
        local q = sq.ones({ 2, 1, 2 }, { requires_grad = true })
        return ops.attention(q, q, q, { rows = ids { 0, 1, 2 }, keys = ids { 0, 1 }, lengths = ids { 2, 1 } })
      end,
      ["a tensor has no 'foo'"] = function() return x.foo end,
      ["'shape' of a tensor cannot be set"] = function() x.shape = { 6 } end,
      ["item: f32 %[2, 3%] is not one number"] = function() return x:item() end,
      ["i64 tensors have no gradient"] = function() i.requires_grad = true end,
      ["is no gradient of f32 %[2, 3%]"] = function() x.grad = sq.ones { 6 } end,
      ["f32 %[3, 2%] is no gradient"] = function() x.grad = sq.ones { 3, 2 } end,
      ["f64 %[2, 3%] is no gradient"] = function() x.grad = sq.ones({ 2, 3 }, { dtype = "f64" }) end,
      ["no gradient of f32 %[2, 3%]: it wants that shape, f32, that device, and elements in order"] = function()
        x.grad = sq.ones({ 3, 2 }):transpose(1, 2)
      end,
    }
    for pattern, fn in pairs(refused) do t.fails(fn, pattern) end
  end,

  ["backward that cannot be"] = function()
    t.fails(function() sq.ones({ 1 }):backward() end, "does not depend on any that wants a gradient")
    t.fails(function() (wanting { 1, 2 } * 2):backward() end, "f32 %[2%] is not one number")
    t.fails(function() (wanting { 1, 2 } * 2):backward(sq.ones { 3 }) end, "another shape than f32 %[2%]")
    local x = wanting { 1, 2 }
    local y = x:exp():sum()
    y:backward()
    t.fails(function() y:backward() end, "'sum' was already gone through")
    local h = x:exp()
    h:sum():backward()
    t.fails(function() h:square():sum():backward() end, "'exp' was already gone through")
    t.fails(function() h.requires_grad = false end, "set on leaves only")
  end,

  ["changed in place after it was saved"] = function()
    local x = wanting { 1, 2 }
    local y = x:square():sum()
    x:fill_(3)
    t.fails(function() y:backward() end, "a tensor that 'square' needs was changed in place")
    local z = x:exp()
    local s = z:sum()
    z:fill_(0)
    t.fails(function() s:backward() end, "'exp' needs was changed")
    local w = (x * 2):sum() -- needs no values of x
    x:narrow(1, 1, 1):fill_(7)
    w:backward()
    t.eq(x.grad:totable(), { 2.0, 2.0 })
  end,

  ["gradients: forgotten, set, added, in f32 for bf16"] = function()
    local x = wanting({ 1, 2 }, "bf16")
    x:sum():backward()
    t.eq({ x.grad.dtype, x.grad:totable() }, { "f32", { 1.0, 1.0 } })
    x:sum():backward()
    t.eq(x.grad:totable(), { 2.0, 2.0 })
    x:zero_grad()
    t.eq(x.grad, nil)
    x:sum():backward()
    t.eq(x.grad:totable(), { 1.0, 1.0 })
    x.grad = sq.tensor { 5, 5 }
    x:sum():backward()
    t.eq(x.grad:totable(), { 6.0, 6.0 })
    x.grad = nil
    t.eq(x.grad, nil)
    local w = wanting { { 1, 2 } } -- weights of products get theirs directly
    for i = 1, 2 do
      ops.linear(sq.ones { 3, 2 }, w):sum():backward()
      t.eq(w.grad:totable(), { { 3.0 * i, 3.0 * i } })
    end
    w:zero_grad()
    ops.linear(sq.ones { 3, 2 }, w):sum():backward()
    t.eq(w.grad:totable(), { { 3.0, 3.0 } })
    t.eq(x:detach().requires_grad, false)
    t.eq((x:detach() * 2).requires_grad, false)
  end,

  ["a long chain takes no stack"] = function()
    local x = wanting { 1 }
    local y = x
    for _ = 1, 20000 do y = y:affine(1, 0) end
    y:backward()
    t.eq(x.grad:item(), 1.0)
    y = x
    for _ = 1, 20000 do y = y:affine(1, 0) end
    y:close()
  end,

  ["scopes"] = function()
    settle()
    local before = live()
    local kept, inner, stale
    do
      local s <close> = sq.scope()
      stale = sq.ones { 2 }
      do
        local s2 <close> = sq.scope()
        inner = s2:keep(stale * 2)
        local out, out2 = s2:keep(stale * 3, stale * 4)
        t.eq({ out:totable(), out2:totable() }, { { 3.0, 3.0 }, { 4.0, 4.0 } })
        kept = sq.full({ 2 }, 5):keep()
      end
      t.eq(inner:totable(), { 2.0, 2.0 })
      kept = s:keep(kept)
    end
    t.eq(kept:totable(), { 5.0, 5.0 })
    t.eq(live() - before, 1)
    for _, x in ipairs { stale, inner } do
      t.fails(function() return x:sum() end, "was closed, by itself or with its scope")
      t.fails(function() return x + 1 end, "was closed")
      t.fails(function() return x.shape end, "was closed")
      t.fails(function() return ops.cat { x } end, "no live tensor")
    end
    kept:close()
    t.fails(function() return kept:sum() end, "was closed")
    t.eq(live(), before)
  end,

  ["an error inside a scope releases everything"] = function()
    settle()
    local before = live()
    t.fails(function()
      local _s <close> = sq.scope()
      local x = wanting { 1, 2 }
      for _ = 1, 10 do
        local _s2 <close> = sq.scope()
        x = x:exp() + sq.ones { 3 }
      end
    end, "shapes do not fit")
    t.eq(live(), before)
    local x = sq.ones { 1 } -- and the next tensor belongs to no closed scope
    t.eq(x:item(), 1.0)
  end,

  ["closing out of order"] = function()
    local outer = sq.scope()
    local inner = sq.scope()
    local x = sq.ones { 1 }
    outer:close() -- closes the inner one too
    t.fails(function() return x:item() end, "was closed")
    inner:close()
    local y = sq.ones { 1 }
    t.fails(function() return inner:keep(y) end, "this scope was closed")
    t.fails(function() return outer:keep(y) end, "this scope was closed")
    t.eq(y:item(), 1.0)
  end,

  ["activations leave while backward runs"] = function()
    settle()
    local _s <close> = sq.scope()
    local x = sq.ones({ 1000 }, { requires_grad = true })
    local y = x
    for _ = 1, 50 do y = y:exp():log() end
    local loss = y:sum()
    local handles = live()
    loss:backward()
    t.ok(live() <= handles + 2, "more blocks after backward than before")
  end,

  ["no_grad"] = function()
    local x = wanting { 1 }
    t.eq({ sq.no_grad(function(a, b) return a + b, sq.grad_enabled() end, 1, 2) }, { 3, false })
    t.eq((sq.no_grad(function() return x * 2 end)).requires_grad, false)
    t.fails(function() sq.no_grad(function() error "inside" end) end, "inside")
    t.eq(sq.grad_enabled(), true)
    local ok, e = pcall(sq.no_grad, function() error { code = 1 } end)
    t.eq({ ok, e.code }, { false, 1 })
    sq.no_grad(function()
      pcall(sq.no_grad, error)
      t.eq(sq.grad_enabled(), false)
    end)
    t.eq(sq.grad_enabled(), true)
    t.fails(function() sq.no_grad(1) end, "function expected")
  end,

  ["nobody yields out of no_grad"] = function() -- or recording would be off for whoever runs meanwhile
    local co = coroutine.create(function() sq.no_grad(coroutine.yield, 1) end)
    local ok, message = coroutine.resume(co)
    t.eq(ok, false)
    t.ok(tostring(message):find "yield", message)
    t.eq(sq.grad_enabled(), true)
    local inside = coroutine.wrap(function() -- a coroutine that runs inside one is fine
      coroutine.yield(sq.no_grad(sq.grad_enabled))
      coroutine.yield(sq.grad_enabled())
    end)
    t.eq({ inside(), inside() }, { false, true })
  end,

  ["random numbers"] = function()
    sq.manual_seed(5)
    local state = sq.random_state()
    local a, b = sq.randn { 101 }, sq.randn { 101 }
    t.ok((a - b):abs():max():item() > 0.1, "the same numbers twice")
    sq.random_state(state)
    t.eq(sq.randn({ 101 }):totable(), a:totable())
    t.eq(sq.randn({ 101 }):totable(), b:totable())
    local o = { seed = 9, stream = 2, offset = 0 }
    t.eq(sq.rand({ 7 }, o):totable(), sq.rand({ 7 }, o):totable())
    local u, n = sq.rand({ 20000 }, { seed = 3 }), sq.randn({ 20000 }, { seed = 3 })
    t.ok(u:min():item() >= 0 and u:max():item() < 1)
    t.near(u:mean():item(), 0.5, 0.01)
    t.near(n:mean():item(), 0, 0.03)
    t.near(n:square():mean():item(), 1, 0.04)
  end,

  ["dropout"] = function()
    local x = sq.ones { 20000 }
    local y = x:dropout(0.25, 7)
    t.near(y:mean():item(), 1, 0.02)
    local values = {}
    for _, v in ipairs(y:totable()) do values[v] = true end
    t.eq(values, { [0.0] = true, [sq.tensor(4 / 3):item()] = true })
    t.eq(x:dropout(0.25, 7):totable(), y:totable())
    t.ok((x:dropout(0.25, 8) - y):abs():max():item() > 0, "another seed gives the same mask")
    t.ok((x:dropout(0.25, 7, 1) - y):abs():max():item() > 0, "another stream gives the same mask")
    t.eq(x:dropout(0, 7):totable(), x:totable())
  end,

  ["the same numbers on one thread and on two"] = function()
    -- clang's OpenMP beside gcc's, which oneDNN brings: its products do not see that they run inside a team
    if arg[-1]:find "clang" then t.skip "two OpenMP runtimes in one process" end
    local out = {}
    for threads = 1, 2 do
      local pipe = io.popen(("OMP_NUM_THREADS=%d '%s' tests/thread_numbers.lua 2>&1"):format(threads, arg[-1]))
      out[threads] = pipe:read "a"
      pipe:close()
    end
    t.ok(select(2, out[1]:gsub("\n", "")) >= 20, out[1])
    t.eq(out[1], out[2])
  end,
}
