-- moe_lora against the same sum written with plain operators, its edge cases, and what it refuses.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local function ids(list) return sq.tensor(list, { dtype = "i64" }) end
local function random(shape, stream) return sq.randn(shape, { dtype = "f64", seed = 5, stream = stream }) end

---base + scale sum_s weights[t, s] x[t] A_e^T B_e^T, expert by expert.
local function plain(x, a, b, chosen, weights, scale, base)
  local y = base
  for s = 1, #chosen[1] do
    for e = 1, a:size(1) do
      local mask = {}
      for row, list in ipairs(chosen) do mask[row] = { list[s] == e - 1 and scale or 0 } end
      local part = ops.linear(ops.linear(x, a:select(1, e)), b:select(1, e))
      y = y + part * weights:narrow(2, s, 1) * sq.tensor(mask, { dtype = "f64" })
    end
  end
  return y
end

local function far(a, b) return (a:to "f64" - b:to "f64"):abs():max():item() end

local function check(chosen, experts)
  local _s <close> = sq.scope()
  local n, k = #chosen, #chosen[1]
  local x, a, b = random({ n, 37 }, 1), random({ experts, 5, 37 }, 2), random({ experts, 21, 5 }, 3)
  local weights, base = random({ n, k }, 4), random({ n, 21 }, 5)
  local want = plain(x, a, b, chosen, weights, 1.5, base)
  local got = ops.moe_lora(x, a, b, ids(chosen), weights, { scale = 1.5, base = base })
  t.ok(far(got, want) < 1e-12, "f64")
  for dtype, tolerance in pairs { f32 = 2e-6, bf16 = 0.03 } do
    local low = {}
    for i, v in ipairs { x, a, b, weights, base } do low[i] = v:to(dtype) end
    local y = ops.moe_lora(low[1], low[2], low[3], ids(chosen), low[4], { scale = 1.5, base = low[5] })
    t.eq(y.dtype, dtype)
    t.ok(far(y, want) < tolerance * want:abs():max():item(), dtype)
  end
end

return {
  ["the sum over chosen experts"] = function()
    local chosen = {}
    for i = 1, 300 do chosen[i] = { i * 7 % 5, (i * 7 + i % 3) % 5 } end -- the same expert twice, too
    check(chosen, 5)
  end,

  ["one expert takes every token, others none"] = function()
    local chosen = {}
    for i = 1, 150 do chosen[i] = { 2 } end
    check(chosen, 4)
  end,

  ["tokens without an expert get the base"] = function()
    check({ { -1, -1 }, { 0, -1 }, { -1, -1 } }, 2)
    local _s <close> = sq.scope()
    local base = random({ 2, 3 }, 1)
    local none = ops.moe_lora(random({ 2, 4 }, 2), random({ 2, 1, 4 }, 3), random({ 2, 3, 1 }, 4),
      ids { { -1 }, { -1 } }, random({ 2, 1 }, 5), { base = base })
    t.eq(far(none, base), 0)
  end,

  ["each place has a dropout mask of its own"] = function()
    local _s <close> = sq.scope()
    local function run(chosen, seed)
      return ops.moe_lora(sq.arange(1, 64):to("f32"):reshape { 1, 64 }, sq.ones { 2, 1, 64 }, sq.ones { 2, 1, 1 },
        ids { chosen }, sq.ones { 1, #chosen }, { p = 0.5, seed = seed }):item()
    end
    t.eq(run({ 0, 1 }, 1), run({ 0, 1 }, 1))
    t.eq(run({ 0, 1 }, 1), run({ 1, 0 }, 1)) -- the mask belongs to the place, not to the order of work
    t.ok(run({ 0 }, 1) ~= run({ 0 }, 2), "another seed")
    t.ok(run({ 0, 0 }, 1) ~= 2 * run({ 0 }, 1), "another place")
  end,

  ["what it refuses"] = function()
    local x, a, b, w = random({ 2, 4 }, 1), random({ 3, 2, 4 }, 2), random({ 3, 5, 2 }, 3), random({ 2, 1 }, 4)
    t.fails(function() return ops.moe_lora(x, a, b, ids { { 0 }, { 3 } }, w) end, "index 3 %(place 2%) is not below 3")
    t.fails(function() return ops.moe_lora(x, a, b, ids { { 0 }, { -2 } }, w) end, "index %-2")
    t.fails(function() return ops.moe_lora(x, b, a, ids { { 0 }, { 0 } }, w) end, "do not fit")
    t.fails(function() return ops.moe_lora(x, a, b, ids { { 0 } }, w) end, "are %[T, S%] with T = 2")
    t.fails(function() return ops.moe_lora(x, a, b:to "f32", ids { { 0 }, { 0 } }, w) end, "dtypes differ")
    t.fails(function() return ops.moe_lora(x, a, b, ids { { 0 }, { 0 } }, w, { base = x }) end, "base")
    t.fails(function() return ops.moe_lora(x, a, b, ids { { 0 }, { 0 } }, w, { p = 1 }) end, "below 1")
    t.fails(function() return ops.topk(random({ 2, 4 }, 1), 5) end, "k is 1 to 4, got 5")
  end,
}
