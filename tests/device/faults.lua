-- Every allocation of an operator on a card fails once, and from then on: nothing leaks, here or there.
local sq = require "sqlune"
local t = require "tests.check"
local sweep = require "tests.sweep"
local all = require "tests.gradient_cases"
local checks = require "tests.operator_checks"
local ops = sq.ops
local CARD <const> = "cuda:0"

local function ids(list) return sq.tensor(list, { dtype = "i64" }) end

local function on_card(fn)
  return function()
    collectgarbage()
    collectgarbage()
    local before = sq.tensor_memory(false, CARD).live_blocks
    fn()
    collectgarbage()
    collectgarbage()
    t.eq(sq.tensor_memory(false, CARD).live_blocks, before, "blocks on the card")
  end
end

local cases = {
  ["making, moving, reading"] = on_card(function()
    sweep("moving", function()
      local _s <close> = sq.scope()
      local x = sq.tensor({ { 1, 2 }, { 3, 4 } }, { device = CARD })
      return x:transpose(1, 2):to("f64", "cpu"), sq.full({ 2 }, 3, { device = CARD }), x:totable(), tostring(x),
        x:copy_(sq.ones { 2, 2 }), x * 2 - 1, x:clone()
    end)
  end),
  ["indexes and their copies"] = on_card(function()
    local x = sq.ones({ 3, 4 }, { device = CARD })
    sweep("rows", function()
      local _s <close> = sq.scope()
      return x:write_rows_(ids { 1 }, x:narrow(1, 1, 1)), ops.gather_rows(x, ids { 2, 0 }),
        ops.sample(x, { temperature = 0.7, seen = ids { 0 }, seen_rows = ids { 0, 1, 1, 1 }, streams = ids { 1, 2, 3 },
          offsets = ids { 0, 0, 0 }, repetition_penalty = 1.2 }), ops.global_norm { x, x }
    end)
    x:close()
  end),
}
cases["recording and replaying"] = on_card(function()
  local x = sq.ones({ 3, 4 }, { device = CARD })
  sweep("a graph", function()
    local _s <close> = sq.scope()
    local graph <close> = sq.graph(function()
      local _inner <close> = sq.scope()
      return (ops.exp(x) * x + x):keep()
    end, CARD, true)
    local y = graph()
    return y, graph()
  end)
  x:close()
end)
for _, op in ipairs(sq.ops.list()) do
  if op.differentiable then
    cases[op.name] = on_card(function()
      local case = all[op.name][1]
      sweep(op.name, function()
        local _s <close> = sq.scope()
        local inputs = checks.leaves(case, "f32", CARD)
        checks.weigher()(checks.forward(case, checks.context("f32", CARD), inputs)):backward()
      end)
    end)
  end
end
return t.with_card(cases)
