-- Runs the cases of one test file. After each case memory of the C side must be what it was before.
local check = require "tests.check"
local sys = require("sqlune").sys

local M = {}

local verbose = os.getenv "VERBOSE"

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

local function run_case(count, name, case)
  local started = sys.clock()
  local ok, e, leaked = attempt(case)
  -- What is loaded for the first time may stay in memory; a leak grows again on the second run.
  if ok and leaked > 0 then ok, e, leaked = attempt(case) end
  if ok and leaked > 0 then ok, e = false, leaked .. " blocks are still alive" end
  if ok then
    count.passed = count.passed + 1
    if verbose then io.write(string.format("ok   %s (%.2f s)\n", name, sys.clock() - started)) end
  elseif type(e) == "table" then
    count.skipped = count.skipped + 1
    io.write("skip ", name, ": ", e.skip, "\n")
  else
    count.failed = count.failed + 1
    io.write("FAIL ", name, "\n     ", (e:gsub("\n", "\n     ")), "\n")
  end
end

local function wanted(name, words)
  if #words == 0 then return true end
  for _, w in ipairs(words) do
    if name:find(w, 1, true) then return true end
  end
  return false
end

---The names of a file's cases that a job asks for.
local function names_of(cases, job)
  local names, mine = {}, {}
  for name in pairs(cases) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    if i % job.parts == job.part and wanted(job.file .. ": " .. name, job.words) then mine[#mine + 1] = name end
  end
  return mine
end

---@class tests.Job
---@field file string     group/name
---@field words string[]  a case's "group/name: case" must contain one of them, if there are any
---@field part integer    case i is run where i % parts == part
---@field parts integer

---Runs a job's cases and prints what went wrong.
---@param job tests.Job
---@return { passed: integer, failed: integer, skipped: integer }
function M.run(job)
  local count = { passed = 0, failed = 0, skipped = 0 }
  local path = ("tests/%s.lua"):format(job.file)
  local chunk, e = loadfile(path)
  local ok, cases = pcall(chunk or error, e)
  if not ok then
    run_case(count, job.file, function() error(cases, 0) end)
    return count
  end
  for _, name in ipairs(names_of(cases, job)) do run_case(count, job.file .. ": " .. name, cases[name]) end
  return count
end

return M
