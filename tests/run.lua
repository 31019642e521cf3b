-- Runs tests: sqlune tests/run.lua [words]: cases whose "group/file: name" contains one of the words; none: all.
-- After each case memory of the C side must be what it was before; the last line counts.
package.path = "./?.lua;" .. package.path
local check = require "tests.check"
local sys = require("sqlune").sys

local groups = os.getenv "TEST_GROUP" and { os.getenv "TEST_GROUP" }
  or { "core", "db", "golden", "fault", "regress", "dist" }
local words = { ... }
local passed, failed, skipped = 0, 0, 0
local verbose = os.getenv "VERBOSE"

local function wanted(name)
  if #words == 0 then return true end
  for _, w in ipairs(words) do
    if name:find(w, 1, true) then return true end
  end
  return false
end

local function files(group)
  local list = {}
  local pipe = assert(io.popen("ls tests/" .. group .. "/*.lua 2>/dev/null"))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function live_blocks()
  collectgarbage()
  collectgarbage()
  return sys.memory().live_blocks
end

local function traceback(e)
  if type(e) == "table" and e.skip then return e end
  return debug.traceback(tostring(e), 2)
end

---Runs the case; returns ok, error, blocks that it left alive.
local function attempt(case)
  local before = live_blocks()
  local ok, e = xpcall(case, traceback)
  check.clean()
  return ok, e, live_blocks() - before
end

local function run_case(name, case)
  local started = sys.clock()
  local ok, e, leaked = attempt(case)
  -- What is loaded for the first time may stay in memory; a leak grows again on the second run.
  if ok and leaked > 0 then ok, e, leaked = attempt(case) end
  if ok and leaked > 0 then ok, e = false, leaked .. " blocks are still alive" end
  if ok then
    passed = passed + 1
    if verbose then io.write(string.format("ok   %s (%.2f s)\n", name, sys.clock() - started)) end
  elseif type(e) == "table" then
    skipped = skipped + 1
    io.write("skip ", name, ": ", e.skip, "\n")
  else
    failed = failed + 1
    io.write("FAIL ", name, "\n     ", (e:gsub("\n", "\n     ")), "\n")
  end
end

local function load_cases(path)
  local chunk, e = loadfile(path)
  if not chunk then return nil, e end
  local ok, result = pcall(chunk)
  if not ok then return nil, result end
  return result
end

for _, group in ipairs(groups) do
  for _, path in ipairs(files(group)) do
    local cases, e = load_cases(path)
    if not cases then
      failed = failed + 1
      io.write("FAIL ", path, ": ", tostring(e), "\n")
    end
    local names = {}
    for name in pairs(cases or {}) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local full = path:match "tests/(.*)%.lua" .. ": " .. name
      if wanted(full) then run_case(full, cases[name]) end
    end
  end
end
io.write(string.format("%d passed, %d failed, %d skipped\n", passed, failed, skipped))
os.exit(failed == 0 and 0 or 1, true)
