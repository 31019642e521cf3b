-- tests/gpu/run.sh, the tests on a card: every step runs, the last line says how it went. Its programs are played by
-- scripts, and by the emulated card.
local sq = require "sqlune"
local t = require "tests.check"
local workshop = require "tests.workshop"
local fs = sq.fs

---A folder of programs that say their arguments and fail at those words.
local function programs(words)
  local dir = t.tmpdir()
  for _, name in ipairs { "bin/sqlune", "cuda-on-card", "toolkit/bin/compute-sanitizer" } do
    local path = fs.join(dir, name)
    fs.mkdir(fs.dirname(path))
    assert(fs.write(path, ("#!/bin/sh\necho %s \"$@\"\ncase \"$*\" in %s) exit 3;; esac\n"):format(name, words)))
    t.eq(select(2, workshop.shell("chmod +x " .. path)), 0)
  end
  return dir
end

---The script's output without its first lines on each step, and its exit code.
local function run(settings, steps)
  return workshop.shell(("env -u SEED -u WORD PATH=/usr/bin:/bin %s tests/gpu/run.sh %s"):format(settings, steps or ""))
end

local STEPS = { "card", "kernels", "large", "device", "reference", "quickstart", "memcheck", "racecheck", "initcheck" }

return {
  ["every step runs, and the last line names those that failed"] = function()
    local dir = programs "*quickstart*|5*"
    assert(fs.write(dir .. "/README.md", ""))
    local text, code = run(("BUILD=%s CUDAHOME=%s/toolkit SQLUNE_SHARED=%s"):format(dir, dir, dir))
    t.eq(code, 1)
    local begun = {}
    for name in text:gmatch "== (%w+): [^%d]" do begun[#begun + 1] = name end
    t.eq(begun, STEPS)
    t.ok(text:find "\ntest%-gpu: FAILED: kernels quickstart\n$", text)
    t.ok(text:find "compute%-sanitizer %-%-tool racecheck %-%-error%-exitcode 1 %S+/cuda%-on%-card 1", text)
    t.ok(text:find "tests/run.lua device/attention: .*tests/run.lua device/golden:\n", text)
  end,

  ["what is not there is said"] = function()
    local dir = programs "nothing"
    local settings = ("BUILD=%s CUDAHOME=%s SQLUNE_SHARED=%s"):format(dir, dir, dir)
    local text, code = run(settings .. " SANITIZER=0")
    t.eq(code, 0, text)
    t.ok(text:find "not run: reference runs %(no reference data at .*not run: memcheck %(no compute%-sanitizer%)", text)
    t.ok(text:find "\ntest%-gpu: passed\n$", text)
    text, code = run(settings, "card memcheck other")
    t.eq(code, 1)
    t.ok(text:find "\ntest%-gpu: FAILED: memcheck other\n$", text)
  end,

  ["kernels and operators on the emulated card"] = function()
    local card, kernels = os.getenv "SQLUNE_EMULATED" or "", os.getenv "SQLUNE_KERNELS" or ""
    if card == "" or kernels == "" then t.skip "SQLUNE_EMULATED, SQLUNE_KERNELS name no programs: make test does" end
    local text, code = run(("SQLUNE=%s KERNELS=%s WORD=rope"):format(card, kernels), "card kernels device")
    t.eq(code, 0, text)
    t.ok(text:find "emulated card, compute capability", text)
    t.ok(text:find "SEED=0\n4 passed, 0 failed, 0 skipped\n.*\n4 passed, 0 failed", text)
  end,
}
