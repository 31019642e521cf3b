-- Comments of tables and columns from elsewhere than the database: BIRD's database_description/*.csv, the tables.json
-- of Spider and BIRD; and what values stand for.
--
-- Rules: names are matched in any case; what the database does not have is a warning, never an error; a comment that
-- the database itself has stays, unless `replace` says otherwise.
local csv = require "sqlune.csv"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local M = {}

---@class sqlune.Comments
---@field tables table<string, string>                          by table, lower case
---@field columns table<string, table<string, string>>          by table and column, lower case
---@field mappings table<string, table<string, {[1]: string, [2]: string}[]>>  values and what they stand for
---@field warnings string[]

local function new() return { tables = {}, columns = {}, mappings = {}, warnings = {} } end

local function strip(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

---Blanks of every kind as one: a comment stands on one line.
local function one_line(text) return strip((text:gsub("\u{a0}", " "):gsub("%s+", " "))) end

local function set(by_table, name, column, value)
  by_table[name] = by_table[name] or {}
  by_table[name][column] = value
end

---A natural name says something that the name itself does not.
local function tells_more(natural, name)
  local function plain(text) return (text:lower():gsub("[%s_%-]+", "")) end
  return natural ~= "" and plain(natural) ~= plain(name)
end

---"1: male", "'F' stands for female", "0 = no": a value and its meaning; nil for any other line.
local function value_line(line)
  local value, meaning = line:match "^[%s%-%*•]*[\"'“]([^\"'”]+)[\"'”]%s*[:=]+%s*(.+)$"
  if not value then value, meaning = line:match "^[%s%-%*•]*[\"'“]([^\"'”]+)[\"'”]%s+[sm][te]a%w+%s+f?o?r?%s*(.+)$" end
  if not value then value, meaning = line:match "^[%s%-%*•]*([%w_%+%-%.]+)%s*[:=]+%s*(.+)$" end
  if not value or #value > 20 or #meaning > 60 then return nil end
  return strip(value), one_line(meaning)
end

---What values stand for, where at least two lines say so.
local function mapping_of(text)
  local list = {}
  for line in text:gmatch "[^\r\n]+" do
    local value, meaning = value_line(line)
    if value then list[#list + 1] = { value, meaning } end
  end
  return #list >= 2 and list or nil
end

local function take_row(out, name, row, path, i, o)
  local column = strip(row.original_column_name or row.column_name or "")
  if column == "" then
    out.warnings[#out.warnings + 1] = ("%s: row %d names no column"):format(path, i + 1)
    return
  end
  column = column:lower()
  local description, natural = one_line(row.column_description or ""), one_line(row.column_name or "")
  if description == "" and tells_more(natural, column) then description = natural end
  local values = row.value_description or ""
  if o.values and one_line(values) ~= "" then
    description = description .. (description ~= "" and "; " or "") .. one_line(values)
  end
  if description ~= "" then set(out.columns, name, column, description) end
  local mapping = o.mappings and mapping_of(values)
  if mapping then set(out.mappings, name, column, mapping) end
end

---Reads BIRD's descriptions: a folder of TABLE.csv, or one that holds it as database_description.
---@param folder string
---@param o? {values?: boolean, mappings?: boolean}  value descriptions in the comments; as what values stand for
---@return sqlune.Comments? comments
---@return string? message
function M.bird(folder, o)
  o = o or {}
  if fs.is_dir(fs.join(folder, "database_description")) then folder = fs.join(folder, "database_description") end
  local names, message = fs.list(folder)
  if not names then return nil, message end
  local out, count = new(), 0
  for _, file in ipairs(names) do
    local name = file:match "^(.+)%.[cC][sS][vV]$"
    if name then
      count = count + 1
      local path = fs.join(folder, file)
      local rows, warnings = csv.read(path)
      if not rows then return nil, warnings end
      table.move(warnings, 1, #warnings, #out.warnings + 1, out.warnings)
      if rows[1] and not rows[1].original_column_name and not rows[1].column_name then
        out.warnings[#out.warnings + 1] = path .. ": no column 'original_column_name'"
      else
        for i, row in ipairs(rows) do take_row(out, name:lower(), row, path, i, o) end
      end
    end
  end
  if count == 0 then return nil, folder .. ": no .csv file" end
  return out
end

local function lists(entry, place, ...)
  for _, key in ipairs { ... } do
    if type(entry[key]) ~= "table" then return nil, ("%s: no list '%s'"):format(place, key) end
  end
  return true
end

---The comments of one database of a tables.json.
local function of_entry(entry, place)
  local ok, message = lists(entry, place, "table_names_original", "table_names", "column_names_original",
    "column_names")
  if not ok then return nil, message end
  local out, names = new(), {}
  for i, original in ipairs(entry.table_names_original) do
    local natural = entry.table_names[i]
    names[i] = tostring(original):lower()
    if type(natural) == "string" and tells_more(natural, names[i]) then out.tables[names[i]] = one_line(natural) end
  end
  for i, original in ipairs(entry.column_names_original) do
    local natural = entry.column_names[i]
    local at, column = original[1], original[2]
    local name = math.type(at) == "integer" and names[at + 1]
    if name and type(column) == "string" and type(natural) == "table" and type(natural[2]) == "string" then
      if tells_more(natural[2], column) then set(out.columns, name, column:lower(), one_line(natural[2])) end
    elseif at ~= -1 then
      out.warnings[#out.warnings + 1] = ("%s: column %d belongs to no table"):format(place, i)
    end
  end
  return out
end

---Reads a tables.json of Spider or BIRD.
---@param path string
---@return table<string, sqlune.Comments>? by_database
---@return string? message
function M.tables_json(path)
  local entries, message = json.read(path)
  if message then return nil, message end
  if type(entries) ~= "table" then return nil, path .. ": a list of databases is expected" end
  local out = {}
  for i, entry in ipairs(entries) do
    local name = type(entry) == "table" and entry.db_id
    local place = ("%s: database %s"):format(path, type(name) == "string" and name or i)
    if type(name) ~= "string" then return nil, place .. ": no 'db_id'" end
    out[name], message = of_entry(entry, place)
    if not out[name] then return nil, message end
  end
  return out
end

---Reads whatever a path is: a tables.json, a folder of .csv, a database's folder, or a folder of databases.
---@param path string
---@param database string  which one
---@param o? {values?: boolean, mappings?: boolean}
---@return sqlune.Comments? comments  nil without a message: the path has none for this database
---@return string? message
function M.open(path, database, o)
  if not fs.is_dir(path) then
    local all, message = M.tables_json(path)
    return all and all[database], message
  end
  for _, folder in ipairs { fs.join(path, database), path } do
    local inner = fs.join(folder, "database_description")
    if fs.is_dir(inner) then return M.bird(inner, o) end
  end
  return M.bird(path, o)
end

local function empty(text) return text == nil or text == json.null or text == "" or text == "None" end

---Names of the comments that the schema does not have.
local function unknown(comments, known, warnings)
  for name, columns in pairs(comments.columns) do
    local have = known[name]
    if not have then
      warnings[#warnings + 1] = ("there is no table '%s'"):format(name)
    else
      for column in pairs(columns) do
        if not have[column] then
          warnings[#warnings + 1] = ("table '%s' has no column '%s'"):format(name, column)
        end
      end
    end
  end
  table.sort(warnings)
end

---A schema with the comments.
---@param schema sqlune.schema.Schema
---@param comments sqlune.Comments
---@param o? {replace?: boolean}  comments of the database are replaced
---@return sqlune.schema.Schema schema
---@return string[] warnings
function M.apply(schema, comments, o)
  o = o or {}
  local document, known, warnings = json.decode((schema:json())), {}, {}
  for name, one in pairs(document.tables) do
    local key = name:lower()
    known[key] = {}
    if comments.tables[key] and (o.replace or empty(one.comment)) then one.comment = comments.tables[key] end
    for column, facts in pairs(one.fields) do
      local at = column:lower()
      known[key][at] = true
      local comment = comments.columns[key] and comments.columns[key][at]
      if comment and (o.replace or empty(facts.comment)) then facts.comment = comment end
      local mapping = comments.mappings[key] and comments.mappings[key][at]
      if mapping then
        facts.value_mapping = json.object()
        for _, pair in ipairs(mapping) do facts.value_mapping[pair[1]] = pair[2] end
      end
    end
  end
  unknown(comments, known, warnings)
  return assert(sq.schema.from_json(json.encode(document))), warnings
end

return M
