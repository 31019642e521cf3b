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
}
