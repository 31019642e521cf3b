-- recipes/mschema.lua: prints the M-Schema of databases: a SQLite file, a folder of them, or databases of a server.
local sq = require "sqlune"
local config, fs, schema = sq.config, sq.fs, sq.schema

local cfg = config.parse(arg, {
  database = config.path "a SQLite file, a folder of them, postgresql://user@host/name, or a file such as db_conn.json",
  names    = config.list("only these databases; of a server that names none: which ones", {}),
  schema   = config.string("PostgreSQL's schema; none: what the search path finds", false),
  db_id    = config.string("name to print; none: the database's", false),
  tables   = config.list("only these tables", {}),
  ignore   = config.list("not these tables", {}),
  views    = config.boolean("views too", false),
  json     = config.path("write the schema as JSON to this file (one database only)", false),
}, { positional = { "database" } })

local places, message = sq.data.databases.open(cfg.database)
if not places then config.fail(message) end
local names = #cfg.names > 0 and cfg.names or places:names()
if #names == 0 then
  config.fail(cfg.database .. (fs.is_dir(cfg.database) and ": no databases in this folder"
    or ": it names no database; give names=…"))
end
if cfg.json and #names > 1 then
  config.fail(("json=… takes one database, %s has %d"):format(cfg.database, #names), 2)
end

for i, name in ipairs(names) do
  local place, one
  place, message = places:find(name)
  if not place then config.fail(message) end
  one, message = schema.read(place, {
    db_id = cfg.db_id or name, view_support = cfg.views, schema = cfg.schema or nil,
    include_tables = #cfg.tables > 0 and cfg.tables or nil, ignore_tables = #cfg.ignore > 0 and cfg.ignore or nil,
  })
  if not one then config.fail(message) end
  if cfg.json then
    local ok
    ok, message = one:save(cfg.json)
    if not ok then config.fail(message) end
  end
  io.write(i > 1 and "\n" or "", one:text(), "\n")
end
