-- What the tests of hostile SQL share, whatever the server.
local sq = require "sqlune"
local t = require "tests.check"

local M = {}

---A statement's beginning, for messages.
function M.opening(sql) return (sql:sub(1, 100):gsub("[%c\x80-\xff]", "?")) end

---Runs a statement. Another process may have the processor for a while: the best time of three counts, and one that is
---to be refused has `patience` seconds, so that it is the refusal that ends it.
function M.attempt(db, sql, deadline, slack, patience)
  local best, result, message, code = math.huge, nil, nil, nil
  for _ = 1, 3 do
    local started = sq.sys.clock()
    result, message, code = db:query(sql, { timeout = patience or deadline })
    best = math.min(best, sq.sys.clock() - started)
    if best < deadline + slack then break end
  end
  return best, result, message, code
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
function M.rights(db, rights)
  for _, right in ipairs(rights) do
    local result, message = db:query(right[2])
    t.ok(result, ("%s: %s"):format(right[1], message))
    local value = result.rows[1][1]
    t.ok(type(value) == "boolean" or math.type(value) == "integer", right[1])
  end
end

return M
