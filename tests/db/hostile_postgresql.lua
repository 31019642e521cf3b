-- SQL that wants to do harm to a PostgreSQL server, from its owner, whom no privilege stops: each statement must be
-- refused or ended in time, all databases must stay as they were, and the connection must serve the next statement.
local corpus = require "sqlune.sandbox.postgresql"
local hostile = require "tests.hostile"
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

local deadline, slack = 0.1, t.grace(0.2) -- seconds

local opening = hostile.opening

---The digest of everything on the server: definitions, rows, sequences, large objects, roles, settings of databases.
local function digest(at)
  return servers.line(("pg_dumpall -h %s -p %d -U postgres | grep -v '^.\\(un\\)\\?restrict ' | sha256sum"):format(
    at.socket, at.port))
end

---The server's settings, and what sessions hold that outlives a statement.
local function state(at)
  return servers.script(at, "SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings; "
    .. "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'; SELECT count(*) FROM pg_prepared_xacts; "
    .. "SELECT count(*) FROM pg_replication_slots; SELECT count(*) FROM pg_replication_origin;")
end

local made = 0

---A new database with the victims, and a connection to it. A few statements the server cannot end by itself (loops that
---look at no interrupt): their sessions, given up here, keep the old database for some seconds.
local function victim(user)
  made = made + 1
  local at = servers.new("postgresql", "hostile_" .. made, corpus.setup)
  servers.script(at, "CREATE EXTENSION IF NOT EXISTS dblink; CREATE EXTENSION IF NOT EXISTS tablefunc")
  at.user = user
  return at
end

---Runs each statement on one connection; calls judge(sql, seconds, result, message, code).
local function run_all(user, list, judge, patience)
  local at = victim(user)
  local dumped, before = digest(at), state(at)
  local db <close> = assert(sq.db.open(at))
  for _, sql in ipairs(list) do
    judge(sql, hostile.attempt(db, sql, deadline, slack, patience))
    local after, message = db:query("SELECT string_agg(name, ',' ORDER BY id), current_setting('work_mem'), "
      .. "current_setting('default_transaction_read_only'), to_regclass('pg_temp.item') FROM item", { timeout = 20 })
    t.ok(after, opening(sql) .. ": then: " .. tostring(message))
    t.eq(after.rows, { { "pen,ink,pad", "4MB", "on", sq.json.null } }, opening(sql))
    collectgarbage()
  end
  db:close()
  t.eq(digest(at), dumped, "the databases")
  t.eq(state(at), before, "the server")
  t.ok(not sq.fs.exists "/tmp/sqlune-hostile", "a file was written")
end

local function refused_all(user)
  hostile.refused(slack, function(judge) run_all(user, corpus.denied, judge, 5) end)
end

return {
  ["statements that may not run are refused"] = function()
    refused_all "postgres"
    refused_all "reader"
  end,

  ["the corpus is as large as it says"] = function()
    t.ok(#corpus.denied >= 250 and #corpus.hungry >= 180, #corpus.denied .. " and " .. #corpus.hungry)
  end,

  ["deadlines hold whatever is asked"] = function()
    hostile.in_time(deadline + slack, function(judge) run_all("postgres", corpus.hungry, judge) end)
  end,

  ["what the role might do"] = function()
    local db <close> = assert(sq.db.open(victim "reader"))
    hostile.rights(db, corpus.rights)
  end,
}
