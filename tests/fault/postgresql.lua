-- Fault sweep over the PostgreSQL driver and its catalog.
local sq = require "sqlune"
local servers = require "tests.servers"
local sweep = require "tests.sweep"

local function small()
  return servers.new("postgresql", "fault", [[
    CREATE TABLE p (id INT PRIMARY KEY, name TEXT UNIQUE, tags TEXT[], at TIMESTAMPTZ, UNIQUE (id, name));
    CREATE TABLE c (p INT REFERENCES p, at INTERVAL, FOREIGN KEY (p) REFERENCES p(id));
    CREATE INDEX i ON c (at);
    INSERT INTO p VALUES (1, 'größe', '{a,NULL}', '2024-01-31 12:30+00'), (2, NULL, NULL, NULL);
    INSERT INTO c VALUES (1, '1 day');
  ]])
end

return {
  ["db"] = function()
    local connection = small()
    sweep("open", function()
      local opened <close> = assert(sq.db.open(connection))
      return opened
    end)
    local db <close> = assert(sq.db.open(connection))
    sweep("query", function() return assert(db:query "SELECT *, '\\x00'::bytea, ARRAY['\"'] FROM p") end)
    sweep("refused", function() return db:query "DROP TABLE p" end)
    sweep("wrong", function() return db:query "SELECT nme FROM p" end)
    sweep("late", function()
      return db:query("SELECT count(*) FROM generate_series(1, 100000000)", { timeout = 0.02 })
    end)
    assert(db:query "SELECT 1")
    connection.database = "nowhere"
    sweep("no database", function() return sq.db.open(connection) end)
  end,

  ["schema"] = function()
    local db <close> = assert(sq.db.open(small()))
    sweep("read", function()
      local schema <close> = assert(sq.schema.read(db, { include_tables = { "c", "p" } }))
      return schema
    end)
    sweep("no schema", function() return sq.schema.read(db, { schema = "nowhere" }) end)
  end,
}
