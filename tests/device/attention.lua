-- Attention on a card against the cpu: as training uses it, with heads that have fast kernels; over keys in pages, with
-- tables on the host and, in a recording, on the card.
local sq = require "sqlune"
local t = require "tests.check"
local checks = require "tests.operator_checks"
local ops = sq.ops

local CARD <const> = "cuda:0"
local function ids(list) return sq.tensor(list, { dtype = "i64" }) end
local function random(shape, dtype, stream) return sq.randn(shape, { seed = 9, stream = stream }):to(dtype) end
local function on_card(x) return x:to(CARD) end

local TOLERANCE <const> = { bf16 = 3e-2, f32 = 4e-6 }

---Output and gradients of attention over packed sequences that begin at `rows`.
local function trained(dtype, dim, rows, window, device)
  local tokens, heads = rows[#rows], { 4, 2, 2 }
  local leaves = {}
  for i, count in ipairs(heads) do
    leaves[i] = random({ tokens, count, dim }, dtype, i):to(device)
    leaves[i].requires_grad = true
  end
  local y = ops.attention(leaves[1], leaves[2], leaves[3], { rows = ids(rows), window = window })
  local loss = (y * random(y.shape, dtype, 4):to(device)):sum()
  loss:backward()
  return { y, leaves[1].grad, leaves[2].grad, leaves[3].grad }
end

local cases = {
  ["keys in pages"] = function()
    local _s <close> = sq.scope()
    local one = on_card(ids { 1 })
    for dtype, tolerance in pairs(TOLERANCE) do
      for _, dim in ipairs { 64, 24 } do
        local function pages(stream) return random({ 9, 16, 2, dim }, dtype, stream) end
        local q, k, v = random({ 3, 4, dim }, dtype, 1), pages(2), pages(3)
        local page_table = ids { { 8, 1, 5, 0, 2, -1 }, { 4, 3, 7, -1, -1, -1 } }
        local card_q, card_k, card_v = on_card(q), on_card(k), on_card(v)
        local there = { rows = ids { 0, 1, 3 }, lengths = ids { 70, 37 }, pages = page_table }
        for name, x in pairs(there) do there[name] = on_card(x) end
        local graph <close> = sq.graph(function()
          local _inner <close> = sq.scope()
          local y = ops.attention(card_q, card_k, card_v, there)
          ops.copy_(there.lengths, there.lengths + one)
          return y:keep()
        end, CARD, true)
        for step = 0, 3 do -- the recording is of step 0
          local o = { rows = ids { 0, 1, 3 }, lengths = ids { 70 + step, 37 + step }, pages = page_table }
          local want, name = ops.attention(q, k, v, o), ("%s, step %d"):format(dtype, step)
          checks.close(ops.attention(card_q, card_k, card_v, o):to "cpu", want, tolerance, 0.1, name)
          checks.close(graph():to "cpu", want, tolerance, 0.1, name .. ", recorded")
        end
      end
    end
  end,
}

-- Long sequences and short ones have kernels of their own.
local PACKED <const> = { long = { { 0, 75, 141 }, 0 }, short = { { 0, 1, 40, 70 }, 0 }, window = { { 0, 100 }, 33 } }
for dtype, tolerance in pairs(TOLERANCE) do
  for _, dim in ipairs { 64, 128 } do
    for name, shape in pairs(PACKED) do
      cases[("%s, heads of %d, %s: output and gradients"):format(dtype, dim, name)] = function()
        local _s <close> = sq.scope()
        local rows, window = table.unpack(shape)
        local got, want = trained(dtype, dim, rows, window, CARD), trained(dtype, dim, rows, window, "cpu")
        for i, what in ipairs { "out", "dq", "dk", "dv" } do
          checks.close(got[i]:to "cpu", want[i], tolerance, 0.1, what)
        end
      end
    end
  end
end
return t.with_card(cases)
