-- The test runner itself: comparisons fail when they must.
local t = require "tests.check"
local sys = require("sqlune").sys

return {
  ["eq sees a difference in depth"] = function()
    t.fails(function() t.eq({ a = { 1, 2 } }, { a = { 1, 3 } }) end, "value.a.2")
    t.fails(function() t.eq({}, { b = 1 }) end, "value.b")
    t.eq({ a = { 1, 2 } }, { a = { 1, 2 } })
  end,
  ["near refuses NaN"] = function() t.fails(function() t.near(0 / 0, 1, 1) end, "not within") end,
  ["memory counters are there"] = function() t.ok(sys.memory().peak_bytes >= 0) end,
}
