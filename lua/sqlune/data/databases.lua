-- Where databases are: a folder, a connection file, a table of names and paths, or one SQLite file.
--
-- Rules: a folder holds NAME/NAME.sqlite or NAME.sqlite (also .db, .sqlite3); a name from data never leaves the folder;
-- a connection file is the original's db_conn.json ({dialect, db_host = folder}) or {NAME = {dialect, path}, …};
-- relative paths in it count from the current folder, else from the file's.
local config = require "sqlune.config"
local fs = require("sqlune").fs

local ENDINGS = { ".sqlite", ".db", ".sqlite3" }

---@class sqlune.data.Databases
---@field dialect string
---@field folder string?                 holds the databases
---@field file string?                   the one database that every name means
---@field paths table<string, string>?  of each database
local Databases = {}
Databases.__index = Databases

local function is_sqlite(dialect, place)
  if dialect == nil or dialect == "sqlite" then return true end
  return nil, ("%s: dialect '%s' is not supported, only sqlite"):format(place, tostring(dialect))
end

---A path of a connection file: as it stands, or from the folder of the file.
local function resolved(path, source)
  local beside = source and fs.join(fs.dirname(source), path)
  if not fs.exists(path) and beside and fs.exists(beside) then return beside end
  return path
end

local function from_names(connections, source)
  local paths = {}
  for name, connection in pairs(connections) do
    local path = type(connection) == "table" and connection.path or connection
    local place = ("%s: '%s'"):format(source or "databases", name)
    if type(path) ~= "string" then return nil, place .. " has no 'path' of a database" end
    local ok, message = is_sqlite(type(connection) == "table" and connection.dialect or nil, place)
    if not ok then return nil, message end
    paths[name] = resolved(path, source)
  end
  if next(paths) == nil then return nil, (source or "databases") .. ": no databases" end
  return setmetatable({ dialect = "sqlite", paths = paths, source = source }, Databases)
end

local function from_table(settings, source)
  local place = source or "databases"
  local folder = settings.db_host or settings.folder
  if folder == nil then return from_names(settings, source) end
  local ok, message = is_sqlite(settings.dialect, place)
  if not ok then return nil, message end
  if type(folder) ~= "string" then return nil, place .. ": 'db_host' is not a folder" end
  folder = resolved(folder, source)
  if not fs.is_dir(folder) then return nil, ("%s: no folder '%s' (db_host)"):format(place, folder) end
  return setmetatable({ dialect = "sqlite", folder = folder }, Databases)
end

---Reads where databases are.
---@param place string|table  a folder, a database, a connection file (.json, .lua), or what stands in one
---@return sqlune.data.Databases? databases
---@return string? message
local function open(place)
  if type(place) == "table" then return from_table(place) end
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
    if self.paths[name] then return self.paths[name] end
    local known = {}
    for one in pairs(self.paths) do known[#known + 1] = one end
    local near = config.nearest(name, known)
    return nil, ("no database '%s' in %s%s"):format(name, self.source or "the table of databases",
      near and (" (did you mean '%s'?)"):format(near) or "")
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
