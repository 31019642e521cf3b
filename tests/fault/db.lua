-- Fault sweep over sq.db and sq.schema.
local sq = require "sqlune"
local sweep = require "tests.sweep"
local t = require "tests.check"

local function small()
  local path = t.tmpdir() .. "/a.sqlite"
  assert(sq.db.create(path, [[
    CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE, UNIQUE (id, name));
    CREATE TABLE c (p INT, q INT REFERENCES p, FOREIGN KEY (p) REFERENCES p(id));
    CREATE INDEX i ON c (q);
    INSERT INTO p VALUES (1, 'größe'), (2, NULL);
    INSERT INTO c VALUES (1, 2);
  ]]))
  return path
end

return {
  ["db"] = function()
    local path = small()
    sweep("open", function()
      local db <close> = assert(sq.db.open { path = path, timeout = 5 })
      return db
    end)
    local db <close> = assert(sq.db.open(path))
    sweep("query", function() return assert(db:query "SELECT *, x'00' FROM p") end)
    sweep("refused", function() return db:query "DROP TABLE p" end)
    sweep("no file", function() return sq.db.open(path .. "x") end)
    sweep("doubling", function() return db:query "WITH a AS (SELECT 1), b AS (SELECT 1 FROM a, a) SELECT 1 FROM b" end)
    t.ok(tostring(assert(db:query "SELECT name FROM p ORDER BY id")):find "größe")
  end,

  ["schema"] = function()
    local path = small()
    local folder = path:match "(.*)/"
    t.ok(sweep("read", function()
      local schema <close> = assert(sq.schema.read(path, { include_tables = { "c", "p" } }))
      return schema
    end) > 20)
    local schema <close> = assert(sq.schema.read(path))
    sweep("text", function() return schema:text { selected_tables = { "C", "P" } } end)
    sweep("selected", function()
      return schema:text_selected { select_col_list = { "p.name" }, select_values_dict = { ["p.name"] = { "x" } } }
    end)
    sweep("json", function() return schema:json() end)
    sweep("save and load", function()
      assert(schema:save(folder .. "/s.json"))
      local loaded <close> = assert(sq.schema.load(folder .. "/s.json"))
      return loaded
    end)
    local text = schema:text()
    sweep("parse", function() return sq.schema.parse(text) end)
  end,
}
