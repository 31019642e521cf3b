-- Fault sweep over sq.workers, sq.streams and json's add_text: whatever allocation fails, in whichever thread, nothing
-- leaks and nothing waits for ever.
local sq = require "sqlune"
local sweep = require "tests.sweep"
local t = require "tests.check"

return {
  ["workers"] = function()
    local dir, before = t.tmpdir(), package.path
    assert(sq.fs.write(dir .. "/upper_of_a_test.lua", "return function() return string.upper end"))
    package.path = dir .. "/?.lua;" .. before
    local ok, message = pcall(sweep, "workers", function()
      local crew <close> = assert(sq.workers.start { module = "upper_of_a_test", workers = 2 })
      for _ = 1, 3 do crew:send "text" end
      for _ = 1, 3 do t.eq(assert(crew:receive()), "TEXT") end
    end)
    package.path = before
    if not ok then error(message, 0) end
  end,

  ["streams, and texts that are JSON already"] = function()
    sweep("stream", function() return sq.random.stream(1, "a", true, 2.5):shuffle { 1, 2, 3 } end)
    sweep("thin", function()
      local list = {}
      for i = 1, 20 do list[i] = { used = i % 3 == 0 } end
      return sq.random.stream(1, "a"):thin(list, 0.5, "used")
    end)
    local path = t.tmpdir() .. "/out.json"
    sweep("add_text", function()
      local writer <close> = assert(sq.json.writer(path))
      assert(writer:add_text(("[%s]"):format(("1,"):rep(1000) .. "1")))
      assert(writer:commit())
    end)
    t.eq(#assert(sq.json.read(path))[1], 1001)
  end,
}
