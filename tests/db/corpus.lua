-- SQL that wants to do harm: each statement must be refused or ended in time, the file must stay as it was, memory must
-- stay bounded, and the connection must serve the next statement.
local corpus = require "sqlune.sandbox.sqlite"
local hostile = require "tests.hostile"
local sq = require "sqlune"
local t = require "tests.check"

-- Sanitizers copy at every realloc, which the parser of FTS5, whom nothing interrupts, asks for 20,000 times.
local deadline, slack = 0.25, t.grace(os.getenv "SQLUNE_SANITIZED" and 1 or 0.2) -- seconds

local function victim()
  local path = t.tmpdir() .. "/victim.sqlite"
  assert(sq.db.create(path, corpus.setup))
  return path
end

---Bytes that the process holds.
local function resident()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmRSS:%s*(%d+)"
    if kib then return 1024 * tonumber(kib) end
  end
end

---Runs each statement on one connection; calls judge(sql, seconds, result, message, code).
local function run_all(list, judge)
  local path = victim()
  local before = assert(sq.fs.sha256(path))
  local db <close> = assert(sq.db.open(path))
  for _, sql in ipairs(list) do
    judge(sql, hostile.attempt(db, sql, deadline, slack))
    local after = assert(db:query "SELECT group_concat(name) FROM (SELECT name FROM item ORDER BY id)")
    t.eq(after.rows, { { "pen,ink,pad" } }, hostile.opening(sql))
    collectgarbage()
  end
  t.eq(assert(sq.fs.sha256(path)), before, "the file")
  t.eq(assert(sq.fs.list(sq.fs.dirname(path))), { "victim.sqlite" }, "files beside it")
  t.ok(not sq.fs.exists "/tmp/sqlune-hostile.db", "a file was written elsewhere")
end

return {
  ["statements that may not run are refused"] = function()
    run_all(corpus.denied, function(sql, seconds, result, message, code)
      t.ok(result == nil, hostile.opening(sql) .. ": it ran")
      t.ok(code == "SQLUNE_DENIED" or code == "SQLUNE_DB", hostile.opening(sql) .. ": " .. message)
      t.ok(seconds < slack, ("%s: %.2f s"):format(hostile.opening(sql), seconds))
    end)
  end,

  ["the corpus is as large as it says"] = function()
    t.ok(#corpus.denied >= 100 and #corpus.hungry >= 130, #corpus.denied .. " and " .. #corpus.hungry)
  end,

  ["deadlines and memory hold whatever is asked"] = function()
    local start, peak, late = resident(), 0, {}
    run_all(corpus.hungry, function(sql, seconds)
      if seconds > deadline + slack then late[#late + 1] = ("%.2f s: %s"):format(seconds, hostile.opening(sql)) end
      peak = math.max(peak, resident())
    end)
    t.eq(table.concat(late, "\n"), "", "late")
    t.ok(peak - start < 1.5 * 2 ^ 30, ("%d MiB"):format((peak - start) // 2 ^ 20))
  end,
}
