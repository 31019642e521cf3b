-- Where databases are: a folder, a connection file, a URL, a table of names and connections, or one SQLite file.
--
-- Rules: a folder holds NAME/NAME.sqlite or NAME.sqlite (also .db, .sqlite3); a name from data never leaves the folder.
-- A connection file is the original's db_conn.json: {dialect, db_host, db_port, db_user, db_password}, db_host being a
-- folder for SQLite; on a server a name from data is the name of a database. Or it is {NAME = connection, …}. "${X}" in
-- a value is the environment variable X. Relative paths count from the current folder, else from the file's.
local config = require "sqlune.config"
local fs = require("sqlune").fs
local secret = require "sqlune.secret"

local ENDINGS = { ".sqlite", ".db", ".sqlite3" }

local DIALECTS = { sqlite = "sqlite", postgresql = "postgresql", postgres = "postgresql", mysql = "mysql",
  mariadb = "mysql" }

-- Keys of a connection: the original's names, and ours.
local KEYS = {
  dialect = "dialect", db_host = "host", db_port = "port", db_user = "user", db_password = "password",
  db_name = "database", host = "host", port = "port", user = "user", password = "password", database = "database",
  socket = "socket", sslmode = "sslmode", ssl_ca = "ssl_ca", sslrootcert = "ssl_ca", path = "path", folder = "folder",
  timeout = "timeout", max_rows = "max_rows", max_bytes = "max_bytes", max_length = "max_length",
}
local NUMBERS = { port = "integer", timeout = "number", max_rows = "integer", max_bytes = "integer",
  max_length = "integer" }

---@class sqlune.data.Databases
---@field dialect string
---@field folder string?                 holds the databases
---@field file string?                   the one database that every name means
---@field connections table<string, string|table>?  of each database, by its name
---@field server table?                  a connection; each name is a database of it
local Databases = {}
Databases.__index = Databases

local function made(fields) return setmetatable(fields, Databases) end

---A path of a connection file: as it stands, or from the folder of the file.
local function resolved(path, source)
  local beside = source and fs.join(fs.dirname(source), path)
  if not fs.exists(path) and beside and fs.exists(beside) then return beside end
  return path
end

---A value with its environment variables filled in.
local function expanded(value)
  local missing
  local text = value:gsub("%${([%w_]+)}", function(name)
    local found = os.getenv(name)
    if not found then missing = missing or name end
    return found
  end)
  if missing then return nil, ("the environment variable '%s' is not set"):format(missing) end
  return text
end

---The settings of one connection under our names.
local function connection_of(settings, place)
  local out = {}
  for key, value in pairs(settings) do
    local name = KEYS[key]
    if not name then
      local known = {}
      for one in pairs(KEYS) do known[#known + 1] = one end
      local near = config.nearest(tostring(key), known)
      return nil, ("%s: unknown key '%s'%s"):format(place, tostring(key),
        near and (" (did you mean '%s'?)"):format(near) or "")
    end
    if type(value) == "string" then
      local wrong
      value, wrong = expanded(value)
      if not value then return nil, ("%s: '%s': %s"):format(place, key, wrong) end
    end
    if NUMBERS[name] then
      local number = math.tointeger(tonumber(value)) or NUMBERS[name] == "number" and tonumber(value)
      if not number then return nil, ("%s: '%s' must be a number"):format(place, key) end
      value = number
    elseif type(value) ~= "string" then
      return nil, ("%s: '%s' must be a string"):format(place, key)
    end
    out[name] = value
  end
  local dialect = out.dialect or "sqlite"
  out.dialect = DIALECTS[dialect:lower()]
  if not out.dialect then
    return nil, ("%s: dialect '%s' is not supported, only sqlite, postgresql and mysql"):format(place, dialect)
  end
  return out
end

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---dialect://user:password@host:port/database?key=value as the settings of a connection; nil if it is no URL.
---@param text string
---@return table? settings
---@return string? message
local function from_url(text)
  local scheme, rest = text:match "^([%a%d+.-]+)://(.*)$"
  if not scheme then return nil end
  local dialect = scheme:match "^%w+"
  if not DIALECTS[dialect:lower()] then return nil, ("'%s://': no such dialect"):format(scheme) end
  local settings = { dialect = dialect }
  local body, query = rest:match "^([^?]*)%??(.*)$"
  if DIALECTS[dialect:lower()] == "sqlite" then
    settings.path = decoded(body:gsub("^/", "", 1)) -- sqlite:///relative, sqlite:////absolute
  else
    local place, database = body:match "^([^/]*)/?(.*)$"
    local login, host = place:match "^(.*)@([^@]*)$"
    host = host or place
    if login then
      local user, password = login:match "^([^:]*):?(.*)$"
      settings.user = user ~= "" and decoded(user) or nil
      settings.password = password ~= "" and decoded(password) or nil
    end
    local name, port = host:match "^(.-):(%d+)$"
    if host:sub(1, 1) == "[" then name, port = host:match "^%[(.-)%]:?(%d*)$" end -- [::1]:5432
    settings.host = decoded(name or host)
    settings.port = port ~= "" and port or nil
    if settings.host == "" then settings.host = nil end
    if database ~= "" then settings.database = decoded(database) end
  end
  for pair in query:gmatch "[^&]+" do
    local key, value = pair:match "^([^=]*)=(.*)$"
    if not key then return nil, ("%s: '%s' is not key=value"):format(secret.hide(text), pair) end
    settings[key] = decoded(value)
  end
  if settings.host and settings.host:sub(1, 1) == "/" then settings.socket, settings.host = settings.host, nil end
  return settings
end

---Databases of one connection: a folder, a file or a server.
local function from_connection(settings, place, source)
  local o, message = connection_of(settings, place)
  if not o then return nil, message end
  if o.dialect ~= "sqlite" then return made { dialect = o.dialect, server = o, known = {}, source = place } end
  if o.path then return made { dialect = "sqlite", file = resolved(o.path, source) } end
  local folder = o.host or o.folder
  if not folder then return nil, place .. ": neither a folder ('db_host') nor a file ('path') of SQLite databases" end
  folder = resolved(folder, source)
  if not fs.is_dir(folder) then return nil, ("%s: no folder '%s' (db_host)"):format(place, folder) end
  return made { dialect = "sqlite", folder = folder }
end

---{NAME = path, URL or connection, …}
local function from_names(list, place, source)
  local connections, dialect = {}, nil
  for name, one in pairs(list) do
    local where = ("%s: '%s'"):format(place, name)
    local settings = one
    if type(one) == "string" then
      local url, message = from_url(one)
      if message then return nil, where .. ": " .. message end
      settings = url or { path = one }
    end
    if type(settings) ~= "table" then return nil, where .. " has no 'path' of a database" end
    local o, message = connection_of(settings, where)
    if not o then return nil, message end
    if o.dialect == "sqlite" and not o.path then return nil, where .. " has no 'path' of a database" end
    if o.dialect ~= "sqlite" then o.database = o.database or name end
    connections[name] = o.dialect == "sqlite" and resolved(o.path, source) or o
    dialect = (dialect == nil or dialect == o.dialect) and o.dialect or "mixed"
  end
  if next(connections) == nil then return nil, place .. ": no databases" end
  return made { dialect = dialect, connections = connections, source = place }
end

local function from_table(settings, source)
  local place = source or "the table of databases"
  local one = type(settings.dialect) == "string" or settings.db_host or settings.folder or settings.host
    or type(settings.path) == "string"
  return (one and from_connection or from_names)(settings, place, source)
end

---Reads where databases are.
---@param place string|table  a folder, a database, a connection file (.json, .lua), a URL, or what stands in a file
---@return sqlune.data.Databases? databases
---@return string? message
local function open(place)
  if type(place) == "table" then return from_table(place) end
  local url, wrong = from_url(place)
  if wrong then return nil, wrong end
  if url then return from_connection(url, secret.hide(place)) end
  if fs.is_dir(place) then return made { dialect = "sqlite", folder = place } end
  if not fs.exists(place) then return nil, ("no database, folder or connection file '%s'"):format(place) end
  if place:find "%.json$" or place:find "%.lua$" then
    local settings, message = config.load(place)
    if not settings then return nil, message end
    return from_table(settings, place)
  end
  return made { dialect = "sqlite", file = place }
end

local function of_server(self, name)
  local server = self.server
  if server.database then name = server.database end -- the one that every name means
  local known = self.known[name]
  if known then return known end -- the same table for the same database
  if name == "" or name:find "%z" then return nil, ("'%s' is not a name of a database"):format(name) end
  local connection = { database = name }
  for key, value in pairs(server) do connection[key] = connection[key] or value end
  self.known[name] = connection
  return connection
end

---Where a database is: what `sq.db.open` and `sq.schema.read` take.
---@param name string
---@return string|sqlune.db.Connection? place
---@return string? message
function Databases:find(name)
  if self.file then return self.file end
  if self.server then return of_server(self, name) end
  if self.connections then
    if self.connections[name] then return self.connections[name] end
    local near = config.nearest(name, self:names())
    return nil, ("no database '%s' in %s%s"):format(name, self.source,
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

---The names that are known without asking a server, in order; none of a server that names no database.
---@return string[]
function Databases:names()
  local names = {}
  if self.server then names[1] = self.server.database end
  if self.file then names[1] = fs.basename(self.file):gsub("%.%w+$", "") end
  for name in pairs(self.connections or {}) do names[#names + 1] = name end
  local seen = {}
  for _, entry in ipairs(self.folder and fs.list(self.folder) or {}) do
    local name = fs.is_dir(fs.join(self.folder, entry)) and entry or entry:match "^(.+)%.%w+$"
    if name and not seen[name] and self:find(name) then
      names[#names + 1] = name
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

return { open = open }
