-- SQL that wants to do harm to a PostgreSQL server, from its owner, whom no privilege stops: each statement must be
-- refused or ended in time, all databases must stay as they were, and the connection must serve the next statement.
local corpus = require "sqlune.sandbox.postgresql"
local hostile = require "tests.hostile"
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

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

return hostile.cases {
  corpus = corpus, least = { 250, 180 }, deadline = 0.1, slack = t.grace(0.2), victim = victim,
  state = function(at) return digest(at) .. "\n" .. state(at) end,
  owner = "postgres", reader = "reader", refused = { "postgres", "reader" },
  probe = "SELECT string_agg(name, ',' ORDER BY id), current_setting('work_mem'), "
    .. "current_setting('default_transaction_read_only'), to_regclass('pg_temp.item') FROM item",
  answer = { { "pen,ink,pad", "4MB", "on", sq.json.null } },
}
