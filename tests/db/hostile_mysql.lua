-- SQL that wants to do harm to a MySQL server, from a user who may do everything: each statement must be refused or
-- ended in time, the whole database must stay as it was, and the connection must serve the next statement.
local corpus = require "sqlune.sandbox.mysql"
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

local deadline, slack = 0.25, t.grace(0.5) -- seconds

local function opening(sql) return (sql:sub(1, 100):gsub("[%c\x80-\xff]", "?")) end

---Everything that a statement could have changed: rows, the state of sequences, definitions, users, settings.
local function dump(at)
  return servers.script(at, [[
    SELECT * FROM item ORDER BY id; SELECT * FROM many ORDER BY v; SELECT * FROM log; SELECT * FROM counter;
    SELECT table_schema, table_name, table_type, engine, table_comment FROM information_schema.tables ORDER BY 1, 2;
    SELECT * FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position;
    SELECT table_name, index_name, seq_in_index, column_name, non_unique, index_type
      FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY 1, 2, 3;
    SELECT * FROM information_schema.views ORDER BY table_schema, table_name;
    SELECT * FROM information_schema.triggers ORDER BY trigger_schema, trigger_name;
    SELECT * FROM information_schema.routines ORDER BY routine_schema, routine_name;
    SELECT * FROM information_schema.events; SELECT * FROM mysql.global_priv; SELECT * FROM mysql.servers;
    SELECT * FROM mysql.plugin; SHOW GLOBAL VARIABLES WHERE variable_name NOT LIKE '%gtid%';]])
end

---A database with the victims, and a connection as the named user.
local function victim(user)
  local at = servers.mysql()
  servers.script(at, "DROP DATABASE IF EXISTS hostile; CREATE DATABASE hostile")
  at.database = "hostile"
  servers.script(at, corpus.setup)
  at.user = user
  return at
end

---Another process may have the processor for a while: the best time of three counts.
local function attempt(db, sql)
  local best, result, message, code = math.huge, nil, nil, nil
  for _ = 1, 3 do
    local started = sq.sys.clock()
    result, message, code = db:query(sql, { timeout = deadline })
    best = math.min(best, sq.sys.clock() - started)
    if best < deadline + slack then break end
  end
  return best, result, message, code
end

---Runs each statement on one connection; calls judge(sql, seconds, result, message, code).
local function run_all(user, list, judge)
  local at = victim(user)
  local before = dump(at)
  local db <close> = assert(sq.db.open(at))
  for _, sql in ipairs(list) do
    judge(sql, attempt(db, sql))
    local after, message = db:query "SELECT GROUP_CONCAT(name ORDER BY id), @@hostname <> '', @x FROM item"
    t.ok(after, opening(sql) .. ": then: " .. tostring(message))
    t.eq(after.rows, { { "pen,ink,pad", 1, sq.json.null } }, opening(sql))
    collectgarbage()
  end
  local after = dump(at)
  for line in after:gmatch "[^\n]+" do t.ok(before:find(line, 1, true), "the database has changed: " .. line) end
  t.ok(after == before, "the database has changed")
  t.ok(not sq.fs.exists "/tmp/sqlune-hostile", "a file was written")
end

local function refused_all(user)
  run_all(user, corpus.denied, function(sql, seconds, result, message, code)
    t.ok(result == nil, opening(sql) .. ": it ran")
    t.ok(code == "SQLUNE_DENIED" or code == "SQLUNE_DB", opening(sql) .. ": " .. message .. " " .. code)
    t.ok(seconds < slack, ("%s: %.2f s"):format(opening(sql), seconds))
  end)
end

return {
  ["statements that may not run are refused"] = function()
    refused_all "reader"
    refused_all "writer"
  end,

  ["the corpus is as large as it says"] = function()
    t.ok(#corpus.denied >= 150 and #corpus.hungry >= 120, #corpus.denied .. " and " .. #corpus.hungry)
  end,

  ["deadlines hold whatever is asked"] = function()
    local late = {}
    run_all("writer", corpus.hungry, function(sql, seconds)
      if seconds > deadline + slack then late[#late + 1] = ("%.2f s: %s"):format(seconds, opening(sql)) end
    end)
    t.eq(table.concat(late, "\n"), "", "late")
  end,
}
