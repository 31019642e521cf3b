-- Where databases are: a folder, the original's db_conn.json, a table of names and paths, or one SQLite file.
--
-- Rules: a folder holds NAME/NAME.sqlite or NAME.sqlite (also .db, .sqlite3); a name from data never leaves the folder.
local config = require "sqlune.config"
local core = require "sqlune.core"
local fs = core.fs

local ENDINGS = { ".sqlite", ".db", ".sqlite3" }

---@class sqlune.data.Databases
---@field dialect string
---@field folder string?            holds the databases
---@field file string?              the one database that every name means
---@field paths table<string, string>?
local Databases = {}
Databases.__index = Databases

local function from_table(settings, source)
  local dialect = settings.dialect or "sqlite"
  if dialect ~= "sqlite" then
    return nil, ("%s: dialect '%s' is not supported, only sqlite"):format(source, tostring(dialect))
  end
  if settings.databases then return setmetatable({ dialect = dialect, paths = settings.databases }, Databases) end
  local folder = settings.folder or settings.path or settings.db_host
  if type(folder) ~= "string" then
    return nil, ("%s: 'db_host' is missing: the folder of the databases"):format(source)
  end
  local beside = fs.join(fs.dirname(source), folder)
  if not fs.is_dir(folder) and fs.is_dir(beside) then folder = beside end
  if not fs.is_dir(folder) then return nil, ("%s: no folder '%s'"):format(source, folder) end
  return setmetatable({ dialect = dialect, folder = folder }, Databases)
end

---Reads where databases are.
---@param place string|table  a folder, a database, a .json or .lua file ({dialect, db_host} or {databases = {…}})
---@return sqlune.data.Databases? databases
---@return string? message
local function open(place)
  if type(place) == "table" then return from_table(place, "the table of databases") end
  if fs.is_dir(place) then return setmetatable({ dialect = "sqlite", folder = place }, Databases) end
  if not fs.exists(place) then return nil, ("no database, folder or connection file '%s'"):format(place) end
  if place:find "%.json$" or place:find "%.lua$" then
    local settings, message = config.load(place)
    if not settings then return nil, message end
    return from_table(settings, place)
  end
  return setmetatable({ dialect = "sqlite", file = place }, Databases)
end

---The path of a database.
---@param name string
---@return string? path
---@return string? message
function Databases:find(name)
  if self.file then return self.file end
  if self.paths then
    local path = self.paths[name]
    if not path then return nil, ("no database '%s' in the table of databases"):format(name) end
    return path
  end
  if name == "" or name == ".." or name:find "[/%z]" then
    return nil, ("'%s' is not a name of a database"):format(name)
  end
  for _, ending in ipairs(ENDINGS) do
    for _, path in ipairs { fs.join(self.folder, name, name .. ending), fs.join(self.folder, name .. ending) } do
      if fs.exists(path) and not fs.is_dir(path) then return path end
    end
  end
  return nil, ("no database '%s': neither %s/%s/%s.sqlite nor %s/%s.sqlite exists"):format(name, self.folder, name,
    name, self.folder, name)
end

return { open = open }
