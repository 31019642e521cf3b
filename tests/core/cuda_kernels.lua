-- The CUDA kernels on the host (tests/gpu): against the CPU's in f64, in 20 orders of threads, without each barrier.
local t = require "tests.check"

return {
  ["every kernel gives the CPU's results, and needs each of its barriers"] = function()
    local program = os.getenv "SQLUNE_KERNELS" or t.skip "SQLUNE_KERNELS names no program: make test builds it"
    local pipe = assert(io.popen(program .. " 20 2>&1"))
    local text = pipe:read "a"
    t.ok(pipe:close(), text)
    t.ok(text:find "%d+ passed, 0 failed", text)
  end,

  ["the whole program computes on a card that the host plays"] = function() -- the cases of tests/device
    local program = os.getenv "SQLUNE_EMULATED" or ""
    if program == "" then t.skip "SQLUNE_EMULATED names no program: make test builds it where CUDA's headers are" end
    local pipe = assert(io.popen("TEST_GROUP=device " .. program .. " tests/run.lua 2>&1"))
    local text = pipe:read "a"
    t.ok(pipe:close(), text)
    local passed = tonumber(text:match "(%d+) passed, 0 failed")
    t.ok(passed and passed > 150, text)
  end,
}
