-- A schema that augmentations change: tables and columns as lists, marked with what the SQL uses; prints as text.
--
-- Rules: the structure given is never changed (copied); a column prints its own line of the M-Schema text, so nothing
-- that could not be parsed is lost; a name dropped while the SQL needs it remembers the line of code that dropped it.
local sql = require "sqlune.sql"

---@class sqlune.augment.Column
---@field name string
---@field type string
---@field comment string
---@field primary_key boolean
---@field examples string[]
---@field prefix string?         what announces the examples: "Examples:"
---@field examples_text string?  the examples as they print
---@field line string            "(name:TYPE, …)" as it prints
---@field table string   name of its table
---@field used boolean   the SQL names it (or reads all columns)
---@field key boolean    part of a primary key, or an end of a foreign key

---@class sqlune.augment.Table
---@field name string
---@field key string      name and comment, as the text has them
---@field comment string?
---@field columns sqlune.augment.Column[]
---@field used boolean  the SQL names it

---@class sqlune.augment.Schema
---@field db_id string
---@field tables sqlune.augment.Table[]
---@field foreign_keys table[]  {table=, column=, ref_table=, ref_column=, from=, to=}: names, and the columns meant
local Schema = {}
Schema.__index = Schema

local M = { Schema = Schema }

---The name itself and, of a qualified one, its last part: "public.Users" is found as "users" too.
local function is_named(names, name)
  local lower = name:lower()
  return names[lower] or names[lower:match "%.([^.]+)$" or lower] or false
end

---Names with a colon or a comma. M-Schema writes names without quotes, so "(a:b:TEXT)" reads as a column "a".
local function odd_names(names)
  local list = {}
  for name in pairs(names) do
    if name:find "[:,]" then list[#list + 1] = name end
  end
  return list
end

---Whether a text begins with one of the names, and the name can end there.
local function begins_with(text, list)
  for _, name in ipairs(list) do
    if text:sub(1, #name):lower() == name and (#text == #name or text:find("^[:,)]", #name + 1)) then return true end
  end
  return false
end

---The column that an end of a foreign key means: "customer.id", in lower case.
local function column_at(schema, place)
  for _, one in ipairs(schema.tables) do
    for _, name in ipairs { one.name, one.key } do
      if place:sub(1, #name + 1) == name:lower() .. "." then
        local wanted = place:sub(#name + 2)
        for _, column in ipairs(one.columns) do
          if column.name:lower() == wanted or begins_with(column.line:sub(2), { wanted }) then return column end
        end
      end
    end
  end
end

local function copy_column(column, table_name)
  local copy = {}
  for name, value in pairs(column) do copy[name] = value end
  copy.table, copy.used, copy.key = table_name, false, column.primary_key and true or false
  return copy
end

local function copy_key(schema, key)
  local from = column_at(schema, (key.table .. "." .. key.column):lower())
  local to = column_at(schema, (key.ref_table .. "." .. key.ref_column):lower())
  if from then from.key = true end
  if to then to.key = true end
  return { table = key.table, column = key.column, ref_table = key.ref_table, ref_column = key.ref_column,
    from = from, to = to }
end

---Marks what the statement uses. A column counts where a table that the SQL names has it; without any such table (a
---view, say) everything counts as used.
local function mark(schema, statement, dialect)
  local names = statement and sql.identifiers(statement, dialect) or {}
  local odd = odd_names(names)
  local all, any = statement and sql.reads_unnamed(statement, dialect), false
  for _, one in ipairs(schema.tables) do
    one.used = is_named(names, one.name) or begins_with(one.key, odd)
    any = any or one.used
  end
  schema.needed = {}
  for _, one in ipairs(schema.tables) do
    one.used = one.used or not any
    if one.used and any and #one.columns > 0 then schema.needed[#schema.needed + 1] = { one.name } end
    for _, column in ipairs(one.columns) do
      column.used = one.used
        and (all or not any or names[column.name:lower()] or begins_with(column.line:sub(2), odd)) or false
      if column.used and any then schema.needed[#schema.needed + 1] = { one.name, column.name } end
    end
  end
end

---A schema to augment.
---@param structure table       what sq.schema.parse returns
---@param statement? string     the SQL that must stay answerable
---@param dialect? string
---@return sqlune.augment.Schema
function M.new(structure, statement, dialect)
  local self = setmetatable({ db_id = structure.db_id, tables = {}, foreign_keys = {}, indent = 2, dropped_at = {} },
    Schema)
  for t, one in ipairs(structure.tables) do
    local copy = { name = one.name, key = one.key or one.name, comment = one.comment, columns = {} }
    for c, column in ipairs(one.columns) do copy.columns[c] = copy_column(column, one.name) end
    self.tables[t] = copy
  end
  for k, key in ipairs(structure.foreign_keys or {}) do self.foreign_keys[k] = copy_key(self, key) end
  mark(self, statement, dialect)
  return self
end

---The schema of a graph, or of anything that is not an M-Schema text: nothing in it can be dropped or moved.
---@param text string
---@return sqlune.augment.Schema
function M.plain(text)
  return setmetatable({ db_id = "", tables = {}, foreign_keys = {}, needed = {}, dropped_at = {}, indent = 2,
    plain = text }, Schema)
end

---The place in the caller's code, for messages: "my.lua:3".
local function caller()
  local info = debug.getinfo(3, "Sl")
  return info.short_src .. ":" .. info.currentline
end

---Keeps the elements for which `drop` says false.
local function sift(list, drop)
  local kept, dropped = {}, {}
  for _, element in ipairs(list) do
    if drop(element) then dropped[#dropped + 1] = element else kept[#kept + 1] = element end
  end
  return kept, dropped
end

---Drops the columns for which the function says true; one stays where a table would lose all. Foreign keys follow.
---@param drop fun(column: sqlune.augment.Column, table: sqlune.augment.Table): boolean
function Schema:drop_columns(drop)
  local place = caller()
  for _, one in ipairs(self.tables) do
    local kept, dropped = sift(one.columns, function(column) return drop(column, one) end)
    one.columns = #kept > 0 and kept or { one.columns[1] }
    for _, column in ipairs(dropped) do
      if column.used then self.dropped_at[one.name .. "." .. column.name] = place end
    end
  end
  self:drop_loose_keys()
end

---Drops the tables for which the function says true; the first table stays if all would go. Foreign keys follow.
---@param drop fun(table: sqlune.augment.Table): boolean
function Schema:drop_tables(drop)
  local place, first = caller(), self.tables[1]
  local dropped
  self.tables, dropped = sift(self.tables, drop)
  for _, one in ipairs(dropped) do
    if one.used then self.dropped_at[one.name] = place end
  end
  if #self.tables == 0 and first then self.tables = { first } end
  self:drop_loose_keys()
end

---Drops the foreign keys that have lost an end.
function Schema:drop_loose_keys()
  local there = {}
  for _, one in ipairs(self.tables) do
    for _, column in ipairs(one.columns) do there[column] = true end
  end
  self.foreign_keys = sift(self.foreign_keys, function(key)
    return not (key.from and there[key.from] and key.to and there[key.to])
  end)
end

---What the SQL needs and the schema no longer has: "customer.name" or "customer"; nil if nothing.
---@return string? name
---@return string? place  the line of code that dropped it, if a method of the schema did
function Schema:lost()
  local there = {}
  for _, one in ipairs(self.tables) do
    there[one.name] = #one.columns > 0 -- a table without columns does not print
    for _, column in ipairs(one.columns) do there[one.name .. "\0" .. column.name] = true end
  end
  for _, need in ipairs(self.needed) do
    if not there[table.concat(need, "\0")] then
      local name = table.concat(need, ".")
      return name, self.dropped_at[name] or self.dropped_at[need[1]]
    end
  end
end

---The text of a column before its examples: "(id:INTEGER, Primary Key, ". nil if it has none.
local function head_of(column)
  local line, prefix, list = column.line, column.prefix, column.examples_text
  if prefix == nil or list == nil then return nil end
  if prefix == "--" then -- the line ends with the last ")", which may stand in a value
    local at = line:find(") -- Value examples: [", 1, true) or #line
    return line:sub(1, at - 1)
  end
  local tail = prefix .. " [" .. list .. "])"
  return line:sub(-#tail) == tail and line:sub(1, -#tail - 1) or nil
end

---The line of a column, its examples announced as `spelling` says (nil: as they are).
local function spelled(column, spelling)
  local head = head_of(column)
  if head == nil then return column.line end
  spelling = spelling or column.prefix
  if spelling == "--" then return ("%s) -- Value examples: [%s]"):format(head, column.examples_text) end
  return ("%s%s [%s])"):format(head, spelling, column.examples_text)
end

---The schema as text in the form of the original's training data: blanks before columns, `a.b = c.d`.
---@return string
function Schema:text()
  if self.plain then return self.plain end
  local parts = { "【DB_ID】 " .. (self.db_id or ""), "【Schema】" }
  local blanks = (" "):rep(self.indent)
  for _, one in ipairs(self.tables) do
    local lines = {}
    for i, column in ipairs(one.columns) do lines[i] = blanks .. spelled(column, self.spelling) end
    if #lines > 0 then
      parts[#parts + 1] = "# Table: " .. one.key
      parts[#parts + 1] = "[\n" .. table.concat(lines, ",\n") .. "\n]"
    end
  end
  parts[#parts + 1] = "【Foreign keys】"
  for _, key in ipairs(self.foreign_keys) do
    parts[#parts + 1] = ("%s.%s = %s.%s"):format(key.table, key.column, key.ref_table, key.ref_column)
  end
  return table.concat(parts, "\n")
end

return M
