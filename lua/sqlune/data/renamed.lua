-- The judge of renamings: a renamed copy of the database, on which the renamed statement must give the same rows.
--
-- Rules: copies are SQLite files in a temporary folder, made once per database and renaming, a few kept; what cannot be
-- run, or runs too long, is not shown to be the same.
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local COPIES <const> = 32   -- kept at once
local TIMEOUT <const> = 5.0 -- seconds a statement

local M = {}

---@class sqlune.data.RenameChecker
local Checker = {}
Checker.__index = Checker

---@param databases sqlune.data.Databases
---@return sqlune.data.RenameChecker
function M.checker(databases)
  return setmetatable({ databases = databases, copies = {}, order = {}, originals = {}, made = 0 }, Checker)
end

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

---SQL that renames what a database has.
local function script_of(path, renamings)
  local made, message = sq.schema.read(path)
  if not made then return nil, message end
  local tables, parts = json.decode(made:json()).tables, {}
  for table_name, one in pairs(tables) do
    local now, columns = table_name, {}
    for column in pairs(one.fields) do columns[column] = column end
    for _, renaming in ipairs(renamings) do
      for column, current in pairs(columns) do
        local new = renaming.columns[current:lower()]
        if new then
          local change = "ALTER TABLE %s RENAME COLUMN %s TO %s;"
          parts[#parts + 1] = change:format(quoted(now), quoted(current), quoted(new))
          columns[column] = new
        end
      end
      local new = renaming.tables[now:lower()]
      if new then
        parts[#parts + 1] = ("ALTER TABLE %s RENAME TO %s;"):format(quoted(now), quoted(new))
        now = new
      end
    end
  end
  return table.concat(parts, "\n")
end

---The folder of the copies: gone when the checker is closed or collected.
local function folder_of(self)
  if not self.folder then self.folder = assert(fs.tmpdir()) end
  return self.folder
end

---Drops the copy that was made first.
local function forget(self)
  local key = table.remove(self.order, 1)
  local copy = self.copies[key]
  self.copies[key] = nil
  if copy.db then copy.db:close() end
  fs.remove(copy.path)
end

---The renamed copy of a database: {db=} or {why=}.
local function copy_of(self, path, renamings)
  local script, message = script_of(path, renamings)
  if not script then return { why = message } end
  local key = path .. "\n" .. script
  if self.copies[key] then return self.copies[key] end
  if #self.order == COPIES then forget(self) end
  self.made = self.made + 1
  local copy = { path = fs.join(folder_of(self), self.made .. ".sqlite") }
  local ok
  ok, copy.why = sq.db.create(copy.path, script, path)
  if ok then copy.db, copy.why = sq.db.open { path = copy.path, timeout = TIMEOUT } end
  self.copies[key] = copy
  self.order[#self.order + 1] = key
  return copy
end

local function original_of(self, path)
  local db, message = self.originals[path], nil
  if not db then
    db, message = sq.db.open { path = path, timeout = TIMEOUT }
    self.originals[path] = db
  end
  return db, message
end

---Whether a renamed statement gives the same rows on a renamed copy as the statement on the database.
---@param o { db_name: string, sql: string, renamed: string, renamings: sqlune.augment.Renaming[] }
---@return boolean same
---@return string? why  not
function Checker:check(o)
  local place, message = self.databases:find(o.db_name)
  if type(place) == "table" then place = (place.dialect or "sqlite") == "sqlite" and place.path or nil end
  if not place then return false, message or "only copies of SQLite files can be renamed" end
  local db, first, second
  db, message = original_of(self, place)
  if not db then return false, message end
  first, message = db:query(o.sql)
  if not first then return false, "the statement itself fails: " .. message end
  local copy = copy_of(self, place, o.renamings)
  if not copy.db then return false, copy.why end
  second, message = copy.db:query(o.renamed)
  if not second then return false, "renamed, it fails: " .. message end
  if not sq.evaluate.compare(first.rows, second.rows).ex then return false, "renamed, it gives other rows" end
  return true
end

function Checker:close()
  while #self.order > 0 do forget(self) end
  for _, db in pairs(self.originals) do db:close() end
  self.originals = {}
  if self.folder then fs.remove_tree(self.folder) end
  self.folder = nil
end
Checker.__close, Checker.__gc = Checker.close, Checker.close

return M
