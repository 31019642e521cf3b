-- recipes/mschema.lua: prints the M-Schema of a database, or of each database in a folder.
local sq = require "sqlune"
local config, fs, schema = sq.config, sq.fs, sq.schema

local cfg = config.parse(arg, {
  database = config.path "a SQLite database, or a folder of them",
  db_id    = config.string("name to print; none: the name of the file", false),
  tables   = config.list("only these tables", {}),
  ignore   = config.list("not these tables", {}),
  views    = config.boolean("views too", false),
  json     = config.path("write the schema as JSON to this file (one database only)", false),
}, { positional = { "database" } })

local paths = { cfg.database }
if fs.is_dir(cfg.database) then
  paths = {}
  for _, name in ipairs(assert(fs.list(cfg.database))) do
    local path = fs.join(cfg.database, name)
    if fs.is_dir(path) then path = fs.join(path, name .. ".sqlite") end
    if path:find "%.sqlite3?$" and fs.exists(path) or path:find "%.db$" then paths[#paths + 1] = path end
  end
  if #paths == 0 then config.fail(cfg.database .. ": no databases in this folder") end
  if cfg.json then config.fail("json=… takes one database, " .. cfg.database .. " is a folder", 2) end
end

for i, path in ipairs(paths) do
  local db_id = cfg.db_id or fs.basename(path):gsub("%.%w+$", "")
  local one, message = schema.read(path, {
    db_id = db_id, view_support = cfg.views,
    include_tables = #cfg.tables > 0 and cfg.tables or nil, ignore_tables = #cfg.ignore > 0 and cfg.ignore or nil,
  })
  if not one then config.fail(message) end
  if cfg.json then
    local ok
    ok, message = one:save(cfg.json)
    if not ok then config.fail(message) end
  end
  print((i > 1 and "\n" or "") .. one:text())
end
