-- sq.zeros {2, 3} without options took the new handle for its options.
local t = require "tests.check"
local sq = require "sqlune"

return {
  ["tensors without options"] = function()
    t.eq(sq.zeros({ 2, 3 }).shape, { 2, 3 })
    t.eq(sq.ones({ 2 }):totable(), { 1.0, 1.0 })
    t.eq(sq.tensor({ 1, 2 }):totable(), { 1.0, 2.0 })
    t.eq(sq.arange(0, 2):totable(), { 0, 1, 2 })
    t.eq(sq.full({ 2 }, 4):totable(), { 4.0, 4.0 })
    t.eq(sq.randn({ 3 }).dtype, "f32")
    t.eq(sq.rand({ 3 }).dtype, "f32")
    t.eq(sq.empty({ 3 }).shape, { 3 })
  end,
}
