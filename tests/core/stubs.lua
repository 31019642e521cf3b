-- The stub of sq.ops is made from the list of operators: it must be what the tool makes now.
local sq = require "sqlune"
local t = require "tests.check"

return {
  ["lua/sqlune/meta/ops.lua is up to date"] = function()
    local text = assert(sq.fs.read "lua/sqlune/meta/ops.lua")
    t.ok(text == require("tools.stubs").ops(), "run: build/bin/sqlune tools/stubs.lua")
  end,
}
