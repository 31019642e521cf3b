-- SQL that wants to do harm to a MySQL server, from a user who may do everything: each statement must be refused or
-- ended in time, the whole database must stay as it was, and the connection must serve the next statement.
local corpus = require "sqlune.sandbox.mysql"
local hostile = require "tests.hostile"
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

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

-- The slack is larger than elsewhere: MariaDB looks for KILL between rows, and a row may be 16 MB to copy.
return hostile.cases({
  corpus = corpus, least = { 150, 120 }, deadline = 0.25, slack = t.grace(0.5), victim = victim, state = dump,
  owner = "writer", reader = "writer", refused = { "reader", "writer" },
  probe = "SELECT GROUP_CONCAT(name ORDER BY id), @@hostname <> '', @x FROM item",
  answer = { { "pen,ink,pad", 1, sq.json.null } },
}, function(db)
  t.eq(assert(db:query(corpus.rights[3][2])).rows, { { 1 } }) -- files
end)
