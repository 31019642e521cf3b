-- What a test file uses: comparisons that say what differed, skips, temporary folders, the shared reference data.
local clock = require("sqlune").sys.clock

local M = {}

local temporary = {}

local function show(v) return type(v) == "string" and string.format("%q", v) or tostring(v) end

local function difference(x, y, path)
  if x == y then return nil end
  if type(x) ~= "table" or type(y) ~= "table" then
    return string.format("at %s: %s is not %s", path, show(x), show(y))
  end
  for k, v in pairs(x) do
    local d = difference(v, y[k], path .. "." .. tostring(k))
    if d then return d end
  end
  for k in pairs(y) do
    if x[k] == nil then return string.format("at %s.%s: nothing, wanted %s", path, tostring(k), show(y[k])) end
  end
end

---Fails unless a == b, or both are tables with equal contents.
function M.eq(a, b, message)
  local d = difference(a, b, "value")
  if d then error((message and message .. ": " or "") .. d, 2) end
end

---Fails unless x is true; returns its arguments, so that `t.ok(io.open(…))` reads well.
function M.ok(x, message, ...)
  if not x then error(tostring(message or "is not true"), 2) end
  return x, message, ...
end

---Fails unless |a - b| <= tolerance.
function M.near(a, b, tolerance, message)
  local close = math.abs(a - b) <= tolerance -- false for NaN
  if not close then
    error(string.format("%s%.17g is not within %g of %.17g", message and message .. ": " or "", a, tolerance, b), 2)
  end
end

---Fails unless fn raises, or returns nil and a message, that matches the pattern. Returns the message.
function M.fails(fn, pattern)
  local ok, result, message = pcall(fn)
  if ok and result ~= nil then error("it did not fail", 2) end
  local text = tostring(ok and message or result)
  if not text:find(pattern) then error(string.format("failed with %q, wanted %q", text, pattern), 2) end
  return text
end

---Seconds that work in C may be late by: more where every instruction is slowed, or where results become strings of
---Lua with a collector at each.
function M.grace(seconds)
  return (os.getenv "SQLUNE_SANITIZED" or os.getenv "SQLUNE_GC") and 5 * seconds or seconds
end

---The least seconds of at most five runs of fn, the first within the limit being the last, and what that one gave:
---another process may have the processor for a while.
function M.least(limit, fn)
  local least, results = math.huge, nil
  for _ = 1, 5 do
    local started = clock()
    results = table.pack(fn())
    least = math.min(least, clock() - started)
    if least < limit then break end
  end
  return least, table.unpack(results, 1, results.n)
end

---Ends the test as skipped.
function M.skip(why) error({ skip = why }, 0) end

---The same cases, skipped where no card is at hand.
function M.with_card(cases)
  local list = {}
  for name, case in pairs(cases) do
    list[name] = function()
      if #require "sqlune".devices() < 2 then M.skip "no card at hand" end
      case()
    end
  end
  return list
end

---Path inside the shared reference data; skips the test where that is absent.
function M.shared(path)
  local root = os.getenv "SQLUNE_SHARED" or "../shared"
  local file = io.open(root .. "/README.md")
  if not file then M.skip("no reference data at " .. root) end
  file:close()
  return root .. "/" .. path
end

---A new folder, removed when the test ends.
function M.tmpdir()
  local pipe = assert(io.popen "mktemp -d")
  local dir = pipe:read "l"
  pipe:close()
  temporary[#temporary + 1] = dir
  return dir
end

---Removes what tmpdir made; the runner calls it after each test.
function M.clean()
  for i = #temporary, 1, -1 do
    os.execute("rm -rf '" .. temporary[i] .. "'")
    temporary[i] = nil
  end
end

return M
