-- Keys in pages on a card: the cpu's results, with tables on the host and, in a recording, on the card.
local sq = require "sqlune"
local t = require "tests.check"
local checks = require "tests.operator_checks"
local ops = sq.ops

local CARD <const> = "cuda:0"
local function ids(list) return sq.tensor(list, { dtype = "i64" }) end
local function random(shape, dtype, stream) return sq.randn(shape, { seed = 9, stream = stream }):to(dtype) end
local function on_card(x) return x:to(CARD) end

return t.with_card {
  ["keys in pages"] = function()
    local _s <close> = sq.scope()
    local one = on_card(ids { 1 })
    for dtype, tolerance in pairs { bf16 = 3e-2, f32 = 4e-6 } do
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
