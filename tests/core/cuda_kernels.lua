-- CUDA on the host (tests/gpu): the kernels against the CPU's in f64, in 20 orders of threads, without each barrier;
-- the large cases' code at small sizes; src/cuda over cards that the host plays.
local t = require "tests.check"

---The program that an environment variable names; the test is skipped without.
local function built(name)
  local program = os.getenv(name) or ""
  if program == "" then t.skip(name .. " names no program: make test builds it where CUDA's headers are") end
  return program
end

return {
  ["every kernel gives the CPU's results, and needs each of its barriers"] = function()
    local program = built "SQLUNE_KERNELS"
    local function start(what) return assert(io.popen(("%s %s 2>&1"):format(program, what))) end
    local function finish(pipe)
      local text = pipe:read "a"
      t.ok(pipe:close(), text)
      t.ok(text:find "%d+ passed, 0 failed, 0 skipped", text)
    end
    local first, second = start "20 '' 1/2", start "20 '' 2/2" -- side by side: nothing in the tests takes longer
    finish(first)
    finish(second)
    finish(start "large")
  end,

  ["src/cuda: products, copies, memory, recordings, whenever the card does them"] = function()
    local program = built "SQLUNE_CARDS"
    for seed = 1, 3 do
      local pipe = assert(io.popen(("%s %d 2>&1"):format(program, seed)))
      local text = pipe:read "a"
      t.ok(pipe:close(), text)
    end
    local pipe = assert(io.popen("SQLUNE_CARD=waits=0 " .. program .. " 2>&1")) -- and somebody has to wait for it
    local text = pipe:read "a"
    t.ok(not pipe:close() and text:find "not ok product", text)
  end,

  ["the whole program computes on a card that the host plays"] = function() -- the cases of tests/device
    local program = built "SQLUNE_EMULATED"
    local function run(settings, files)
      local pipe = assert(io.popen(("%s TEST_GROUP=device %s tests/run.lua %s 2>&1"):format(settings, program, files)))
      local text = pipe:read "a"
      t.ok(pipe:close(), text)
      local passed = tonumber(text:match "(%d+) passed, 0 failed")
      t.ok(passed and passed > 150, text)
    end
    -- Sanitized, what is quick: half a minute.
    run("", os.getenv "SQLUNE_SANITIZED" and "device/calls device/devices device/graphs device/operators" or "")
    run("SQLUNE_CARD=capability=86", "device/operators device/attention")
  end,
}
