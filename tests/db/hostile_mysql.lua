-- SQL that wants to do harm to a MySQL server, from a user who may do everything: each statement must be refused or
-- ended in time, the whole database must stay as it was, and the connection must serve the next statement.
local corpus = require "sqlune.sandbox.mysql"
local hostile = require "tests.hostile"
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

local deadline, slack = 0.25, t.grace(0.5) -- seconds

local opening = hostile.opening

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

---Runs each statement on one connection; calls judge(sql, seconds, result, message, code).
local function run_all(user, list, judge, patience)
  local at = victim(user)
  local before = dump(at)
  local db <close> = assert(sq.db.open(at))
  for _, sql in ipairs(list) do
    judge(sql, hostile.attempt(db, sql, deadline, slack, patience))
    local after, message = db:query "SELECT GROUP_CONCAT(name ORDER BY id), @@hostname <> '', @x FROM item"
    t.ok(after, opening(sql) .. ": then: " .. tostring(message))
    t.eq(after.rows, { { "pen,ink,pad", 1, sq.json.null } }, opening(sql))
    collectgarbage()
  end
  local after = dump(at)
  for line in after:gmatch "[^\n]+" do t.ok(before:find(line, 1, true), "the database has changed: " .. line) end
  for line in before:gmatch "[^\n]+" do t.ok(after:find(line, 1, true), "the database has lost: " .. line) end
  t.ok(after == before, "the database has changed")
  t.ok(not sq.fs.exists "/tmp/sqlune-hostile", "a file was written")
end

local function refused_all(user)
  hostile.refused(slack, function(judge) run_all(user, corpus.denied, judge, 5) end)
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
    hostile.in_time(deadline + slack, function(judge) run_all("writer", corpus.hungry, judge) end)
  end,

  ["what the user might do"] = function()
    local db <close> = assert(sq.db.open(victim "writer"))
    hostile.rights(db, corpus.rights)
    t.eq(assert(db:query(corpus.rights[3][2])).rows, { { 1 } }) -- files
  end,
}
