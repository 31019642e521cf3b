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

local unpack = table.unpack
local NONE <const> = {}

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

---The column that an end of a foreign key means: {table, column} as places, of "customer.id" in lower case.
local function place_of(tables, text)
  for t, one in ipairs(tables) do
    for _, name in ipairs { one.lower, one.key:lower() } do
      if text:sub(1, #name + 1) == name .. "." then
        local wanted = text:sub(#name + 2)
        for c, column in ipairs(one.columns) do
          if column.lower == wanted or begins_with(column.base.line:sub(2), { wanted }) then return { t, c } end
        end
      end
    end
  end
end

---A column as all samples may share it, as long as nobody changes columns.
local function shared_column(own, used)
  local copy = {}
  for name, value in pairs(own.base) do copy[name] = value end
  copy.used, copy.texts = used, own.texts
  return copy
end

---What all samples of a structure share: names in lower case, columns to look through to, where foreign keys end.
local function prepare(structure)
  local tables, keys = {}, {}
  for t, one in ipairs(structure.tables) do
    local columns = {}
    for c, column in ipairs(one.columns) do
      local base = { table = one.name, used = false, key = column.primary_key and true or false }
      for name, value in pairs(column) do base[name] = value end
      local own = { base = base, through = { __index = base }, lower = column.name:lower(), texts = {} }
      base.prepared, columns[c] = own, own
    end
    local lower = one.name:lower()
    tables[t] = { name = one.name, key = one.key or one.name, comment = one.comment, lower = lower, columns = columns,
      bare = lower:match "%.([^.]+)$" or lower }
  end
  for k, key in ipairs(structure.foreign_keys or {}) do
    keys[k] = { key = key, from = place_of(tables, (key.table .. "." .. key.column):lower()),
      to = place_of(tables, (key.ref_table .. "." .. key.ref_column):lower()) }
    for _, place in pairs { keys[k].from, keys[k].to } do
      tables[place[1]].columns[place[2]].base.key = true
    end
  end
  for _, one in ipairs(tables) do -- when it is known which columns are keys
    one.all_used, one.all_unused, one.places = {}, {}, {}
    for c, own in ipairs(one.columns) do
      one.all_used[c], one.all_unused[c] = shared_column(own, true), shared_column(own, false)
      local places = one.places[own.lower] or {}
      one.places[own.lower], places[#places + 1] = places, c
    end
  end
  return { tables = tables, keys = keys }
end

local prepared = setmetatable({}, { __mode = "k" }) -- structure -> what its samples share

---What a statement uses: names of identifiers, whether it reads all columns, and which tables; `any` is false where it
---names none of them (a view, say). A column counts where a table that the SQL names has it; without any such table
---everything counts as used.
local function uses_of(tables, statement, dialect)
  local names = statement and sql.identifiers(statement, dialect) or {}
  local uses = { names = names, odd = odd_names(names), tables = {}, any = false,
    all = statement and sql.reads_unnamed(statement, dialect) }
  for t, one in ipairs(tables) do
    local used = names[one.lower] or names[one.bare] or #uses.odd > 0 and begins_with(one.key, uses.odd) or false
    uses.tables[t], uses.any = used, uses.any or used
  end
  return uses
end

---Whether a statement uses a column of a table that it uses.
local function uses_column(uses, column)
  return uses.all or not uses.any or uses.names[column.lower]
    or #uses.odd > 0 and begins_with(column.base.line:sub(2), uses.odd) or false
end

---The columns of a table as all samples share them.
local function shared_columns(one, uses, used)
  if used and (uses.all or not uses.any) then return { unpack(one.all_used) } end
  local columns = { unpack(one.all_unused) }
  if not used then return columns end
  for name in pairs(uses.names) do
    for _, c in ipairs(one.places[name] or NONE) do columns[c] = one.all_used[c] end
  end
  for c, column in ipairs(#uses.odd > 0 and one.columns or NONE) do
    if uses_column(uses, column) then columns[c] = one.all_used[c] end
  end
  return columns
end

---The columns of a table as one sample may change them.
local function own_columns(one, uses, used)
  local columns = {}
  for c, column in ipairs(one.columns) do
    columns[c] = setmetatable({ used = used and uses_column(uses, column) }, column.through)
  end
  return columns
end

---A schema to augment.
---@param structure table       what sq.schema.parse returns
---@param statement? string     the SQL that must stay answerable
---@param dialect? string
---@param shares? boolean       its columns are other samples' too: for steps that change none
---@return sqlune.augment.Schema
function M.new(structure, statement, dialect, shares)
  local shared = prepared[structure]
  if not shared then
    shared = prepare(structure)
    prepared[structure] = shared
  end
  local uses, columns_of = uses_of(shared.tables, statement, dialect), shares and shared_columns or own_columns
  local self = setmetatable({ db_id = structure.db_id, tables = {}, foreign_keys = {}, indent = 2, dropped_at = {},
    shared = shared, uses = uses }, Schema)
  for t, one in ipairs(shared.tables) do
    local used = uses.tables[t] or not uses.any
    self.tables[t] = { name = one.name, key = one.key, comment = one.comment, used = used,
      columns = columns_of(one, uses, used) }
  end
  for k, one in ipairs(shared.keys) do
    local key, from, to = one.key, one.from, one.to
    self.foreign_keys[k] = { table = key.table, column = key.column, ref_table = key.ref_table,
      ref_column = key.ref_column, from = from and self.tables[from[1]].columns[from[2]],
      to = to and self.tables[to[1]].columns[to[2]] }
  end
  return self
end

---The schema of a graph, or of anything that is not an M-Schema text: nothing in it can be dropped or moved.
---@param text string
---@return sqlune.augment.Schema
function M.plain(text)
  return setmetatable({ db_id = "", tables = {}, foreign_keys = {}, needed = NONE, dropped_at = {}, indent = 2,
    plain = text }, Schema)
end

---What the SQL needs: {table} and {table, column}, in the order in which the schema first had them.
---@return string[][]
function Schema:needs()
  if self.needed then return self.needed end
  local needed, uses = {}, self.uses
  for t, one in ipairs(uses.any and self.shared.tables or NONE) do
    if uses.tables[t] and #one.columns > 0 then needed[#needed + 1] = { one.name } end
    for _, column in ipairs(uses.tables[t] and one.columns or NONE) do
      if uses_column(uses, column) then needed[#needed + 1] = { one.name, column.base.name } end
    end
  end
  self.needed = needed
  return needed
end

---The place in the caller's code, for messages: "my.lua:3".
local function caller()
  local info = debug.getinfo(3, "Sl")
  return info.short_src .. ":" .. info.currentline
end

---Keeps, in the same list, the elements for which drop(element, of) says false. Returns the others; nil if there are
---none.
local function sift(list, drop, of)
  local kept, count, dropped = 0, #list, nil
  for i = 1, count do
    local element = list[i]
    if drop(element, of) then
      dropped = dropped or {}
      dropped[#dropped + 1] = element
    else
      kept = kept + 1
      if kept < i then list[kept] = element end
    end
  end
  for i = count, kept + 1, -1 do list[i] = nil end
  return dropped
end

---Drops the foreign keys with an end among these columns.
local function drop_keys_of(schema, gone)
  sift(schema.foreign_keys, function(key)
    return not key.from or not key.to or gone[key.from] or gone[key.to] or false
  end)
end

---Drops columns, list by list: sifted(columns, table) gives those that went.
local function drop_columns(schema, sifted, place)
  local gone = {}
  for _, one in ipairs(schema.tables) do
    local first = one.columns[1]
    for _, column in ipairs(sifted(one.columns, one) or NONE) do
      gone[column] = true
      if column.used then schema.dropped_at[one.name .. "." .. column.name] = place end
    end
    if first and #one.columns == 0 then
      one.columns[1], gone[first] = first, nil
    end
  end
  drop_keys_of(schema, gone)
end

---Drops tables: sifted(tables) gives those that went.
local function drop_tables(schema, sifted, place)
  local first, gone = schema.tables[1], {}
  local dropped = sifted(schema.tables)
  if #schema.tables == 0 and first then schema.tables[1] = first end
  for _, one in ipairs(dropped or NONE) do
    if one.used then schema.dropped_at[one.name] = place end
    if one ~= schema.tables[1] then
      for _, column in ipairs(one.columns) do gone[column] = true end
    end
  end
  if dropped then drop_keys_of(schema, gone) end
end

---Drops the columns for which the function says true; one stays where a table would lose all. Foreign keys follow.
---@param drop fun(column: sqlune.augment.Column, table: sqlune.augment.Table): boolean
function Schema:drop_columns(drop)
  drop_columns(self, function(columns, one) return sift(columns, drop, one) end, caller())
end

---Drops the tables for which the function says true; the first table stays if all would go. Foreign keys follow.
---@param drop fun(table: sqlune.augment.Table): boolean
function Schema:drop_tables(drop)
  drop_tables(self, function(tables) return sift(tables, drop) end, caller())
end

---Drops what the SQL does not need now and then: a table or column that is neither used nor a key stays with a
---probability. Foreign keys follow.
---@param rng sqlune.random.Stream
---@param tables number   probability that a table stays
---@param columns number  and a column
function Schema:thin(rng, tables, columns)
  drop_tables(self, function(list) return rng:thin(list, tables, "used") end)
  drop_columns(self, function(list) return rng:thin(list, columns, "used", "key") end)
end

---Drops the foreign keys that have lost an end.
function Schema:drop_loose_keys()
  if #self.foreign_keys == 0 then return end
  local there = {}
  for _, one in ipairs(self.tables) do
    for _, column in ipairs(one.columns) do there[column] = true end
  end
  sift(self.foreign_keys, function(key)
    return not (key.from and there[key.from] and key.to and there[key.to])
  end)
end

---Whether a table of this name, with columns, and its column are there.
local function is_there(schema, need)
  for _, one in ipairs(schema.tables) do
    if one.name == need[1] and #one.columns > 0 then -- a table without columns does not print
      if not need[2] then return true end
      for _, column in ipairs(one.columns) do
        if column.name == need[2] then return true end
      end
    end
  end
  return false
end

---What the SQL needs and the schema no longer has: "customer.name" or "customer"; nil if nothing.
---@return string? name
---@return string? place  the line of code that dropped it, if a method of the schema did
function Schema:lost()
  for _, need in ipairs(self:needs()) do
    if not is_there(self, need) then
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

---The line of a column, its examples announced as `spelling` says.
local function line_of(column, spelling)
  local head = head_of(column)
  if head == nil then return column.line end
  if spelling == "--" then return ("%s) -- Value examples: [%s]"):format(head, column.examples_text) end
  return ("%s%s [%s])"):format(head, spelling, column.examples_text)
end

---The same, remembered for columns that nobody has changed. No spelling: as they are.
local function spelled(column, spelling)
  spelling = spelling or column.prefix
  if not spelling then return column.line end
  local own, texts = column.prepared, rawget(column, "texts")
  local changed = not texts and (rawget(column, "line") or rawget(column, "prefix") or rawget(column, "examples_text"))
  if not own or changed then return line_of(column, spelling) end
  local text = own.texts[spelling]
  if not text then
    text = line_of(column, spelling)
    own.texts[spelling] = text
  end
  return text
end

local pieces = {} -- of the text that is being made; kept, so that it need not grow each time

---The schema as text in the form of the original's training data: blanks before columns, `a.b = c.d`.
---@return string
function Schema:text()
  if self.plain then return self.plain end
  local list, n, spelling = pieces, 1, self.spelling
  local blanks = (" "):rep(self.indent)
  local open, between = "\n[\n" .. blanks, ",\n" .. blanks
  list[1] = "【DB_ID】 " .. (self.db_id or "") .. "\n【Schema】"
  for _, one in ipairs(self.tables) do
    local columns = one.columns
    for i = 1, #columns do
      local column = columns[i]
      local texts = column.texts -- those of a column that samples share
      list[n + 1] = i > 1 and between or "\n# Table: " .. one.key .. open
      list[n + 2] = texts and texts[spelling or column.prefix] or spelled(column, spelling)
      n = n + 2
    end
    if #columns > 0 then
      n = n + 1
      list[n] = "\n]"
    end
  end
  list[n + 1], n = "\n【Foreign keys】", n + 1
  for _, key in ipairs(self.foreign_keys) do
    n = n + 1
    list[n] = "\n" .. key.table .. "." .. key.column .. " = " .. key.ref_table .. "." .. key.ref_column
  end
  return table.concat(list, "", 1, n)
end

return M
