-- The bench of a card runs from end to end, at sizes that the emulated card can do.
local t = require "tests.check"
local workshop = require "tests.workshop"

return t.with_card {
  ["kernels, steps, decoding: a row each, no failure"] = function()
    local text, code = workshop.shell(workshop.program .. " tests/bench/gpu.lua - '' small")
    t.eq(code, 0, text)
    local timed, rows = select(2, text:gsub("\t%d+%% of the roofline\n", "")), select(2, text:gsub("\n| [^\n]+ |", ""))
    t.eq(rows, timed + 1) -- the head of the table
    t.ok(timed >= 54, timed)
    for line in text:gmatch "[^\n]+" do
      t.ok(line:find "^|" or line:find "of the roofline$" or line:find "TFLOP/s", line)
    end
  end,
}
