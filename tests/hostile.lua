-- What the tests of hostile SQL share, whatever the server.
local sq = require "sqlune"
local t = require "tests.check"

local M = {}

---A statement's beginning, for messages.
function M.opening(sql) return (sql:sub(1, 100):gsub("[%c\x80-\xff]", "?")) end

---Runs a statement; one that is to be refused has `patience` seconds, so that it is the refusal that ends it.
---@return number seconds, table? result, string? message, string? code
function M.attempt(db, sql, deadline, slack, patience)
  return t.least(deadline + slack, function() return db:query(sql, { timeout = patience or deadline }) end)
end

---Fails unless every statement is refused at once. `run_all(judge)` runs them.
function M.refused(slack, run_all)
  local wrong = {}
  run_all(function(sql, seconds, result, message, code)
    if result then
      wrong[#wrong + 1] = M.opening(sql) .. ": it ran"
    elseif code ~= "SQLUNE_DENIED" and code ~= "SQLUNE_DB" then
      wrong[#wrong + 1] = ("%s: %s: %s"):format(M.opening(sql), code, message)
    elseif seconds > slack then
      wrong[#wrong + 1] = ("%s: %.2f s"):format(M.opening(sql), seconds)
    end
  end)
  t.eq(table.concat(wrong, "\n"), "")
end

---Fails unless every statement ends in time.
function M.in_time(limit, run_all)
  local late = {}
  run_all(function(sql, seconds)
    if seconds > limit then late[#late + 1] = ("%.2f s: %s"):format(seconds, M.opening(sql)) end
  end)
  t.eq(table.concat(late, "\n"), "", "late")
end

---Every question about rights has an answer.
local function check_rights(db, rights)
  for _, right in ipairs(rights) do
    local result, message = db:query(right[2])
    t.ok(result, ("%s: %s"):format(right[1], message))
    local value = result.rows[1][1]
    t.ok(type(value) == "boolean" or math.type(value) == "integer", right[1])
  end
end

---@class tests.hostile.Server
---@field corpus table           of sqlune.sandbox: setup, denied, hungry, rights
---@field least integer[]        how many statements denied and hungry have
---@field deadline number        seconds
---@field slack number           seconds
---@field owner string           a user who may do much
---@field reader string          a user who may read
---@field refused string[]       the users whom statements are refused
---@field victim fun(user: string): table  a new database with the victims, and the user's connection to it
---@field state fun(at: table): string     everything that a statement could have changed, a line each
---@field probe string           a statement that works on a sound connection
---@field answer any[][]         and its rows

---How often each line of a text is there.
local function counts(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do out[line] = (out[line] or 0) + 1 end
  return out
end

---Raises a line that the state has gained or lost. Lines have no order: names that differ only in case (tables of other
---tests, too) compare as equal to MySQL, which gives them now in one order, now in another.
local function check_same(before, after)
  local was, is = counts(before), counts(after)
  for line, n in pairs(is) do t.eq(n, was[line] or 0, "the server has changed: " .. line) end
  for line, n in pairs(was) do t.eq(is[line] or 0, n, "the server has lost: " .. line) end
end

---Runs each statement on one connection; calls judge(sql, seconds, result, message, code).
---@param o tests.hostile.Server
local function run_all(o, user, list, judge, patience)
  local at = o.victim(user)
  local before = o.state(at)
  local db <close> = assert(sq.db.open(at))
  for _, sql in ipairs(list) do
    judge(sql, M.attempt(db, sql, o.deadline, o.slack, patience))
    local after, message = db:query(o.probe, { timeout = 20 })
    t.ok(after, M.opening(sql) .. ": then: " .. tostring(message))
    t.eq(after.rows, o.answer, M.opening(sql))
    collectgarbage()
  end
  db:close()
  check_same(before, o.state(at))
  t.ok(not sq.fs.exists "/tmp/sqlune-hostile", "a file was written")
end

---The cases of a server; `rights`: what else is to be seen of the answers about rights.
---@param o tests.hostile.Server
---@param rights? fun(db: sqlune.db.Connection)
function M.cases(o, rights)
  local corpus = o.corpus
  return {
    ["statements that may not run are refused"] = function()
      for _, user in ipairs(o.refused) do
        M.refused(o.slack, function(judge) run_all(o, user, corpus.denied, judge, 5) end)
      end
    end,

    ["the corpus is as large as it says"] = function()
      t.ok(#corpus.denied >= o.least[1] and #corpus.hungry >= o.least[2], #corpus.denied .. " and " .. #corpus.hungry)
    end,

    ["deadlines hold whatever is asked"] = function()
      M.in_time(o.deadline + o.slack, function(judge) run_all(o, o.owner, corpus.hungry, judge) end)
    end,

    ["what the user might do"] = function()
      local db <close> = assert(sq.db.open(o.victim(o.reader)))
      check_rights(db, corpus.rights)
      if rights then rights(db) end
    end,
  }
end

return M
