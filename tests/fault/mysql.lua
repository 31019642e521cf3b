-- Fault sweep over the MySQL driver, its catalog, and requests to web servers.
local servers = require "tests.servers"
local sq = require "sqlune"
local sweep = require "tests.sweep"
local web = require "tests.web"

local function small()
  return servers.new("mysql", "fault", [[
    CREATE TABLE p (id INT PRIMARY KEY, name VARCHAR(20) UNIQUE COMMENT 'the ''name''', at DATETIME,
      UNIQUE u (id, name)) COMMENT 'people';
    CREATE TABLE c (p INT, n DECIMAL(5,2), t TIME, KEY i (n), FOREIGN KEY (p) REFERENCES p(id));
    INSERT INTO p VALUES (1, 'größe', '2024-01-31 12:30'), (2, NULL, NULL);
    INSERT INTO c VALUES (1, 1.5, '25:00:00');
    CREATE VIEW v AS SELECT id FROM p;]])
end

return {
  ["db"] = function()
    local connection = small()
    sweep("open", function()
      local opened <close> = assert(sq.db.open(connection))
      return opened
    end)
    local db <close> = assert(sq.db.open(connection))
    sweep("query", function() return assert(db:query "SELECT *, x'00' FROM p, c") end)
    sweep("refused", function() return db:query "DROP TABLE p" end)
    sweep("wrong", function() return db:query "SELECT nme FROM p" end)
    sweep("late", function() return db:query("SELECT SLEEP(9)", { timeout = 0.02 }) end)
    sweep("too many", function() return db:query("SELECT * FROM p", { max_rows = 1 }) end)
    assert(db:query "SELECT 1")
    connection.database = "nowhere"
    sweep("no database", function() return sq.db.open(connection) end)
  end,

  ["schema"] = function()
    local db <close> = assert(sq.db.open(small()))
    sweep("read", function()
      local schema <close> = assert(sq.schema.read(db, { view_support = true, ignore_tables = { "c" } }))
      return schema
    end)
    sweep("no schema", function() return sq.schema.read(db, { schema = "nowhere" }) end)
  end,

  ["http"] = function()
    local server = web.start({}, web.answer("body", "200 OK", "A: b"))
    sweep("request", function() return sq.http.request { url = server.url, headers = { X = "y" }, body = "z" } end)
    sweep("nobody there", function() return sq.http.request { url = "http://127.0.0.1:1/" } end)
  end,
}
