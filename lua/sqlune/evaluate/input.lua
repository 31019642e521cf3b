-- What `sqlune eval` runs: predictions, gold and databases read into items, each fault named with its file and item.
local data = require "sqlune.data.items"
local core = require "sqlune.core"
local postprocess = require "sqlune.evaluate.postprocess"
local sql = require "sqlune.sql"

local fs, json = core.fs, core.json

local M = {}

local GOLD = { "sql", "SQL", "gold", "gold_sql", "query" }

---@class sqlune.evaluate.InputItem: sqlune.evaluate.Item
---@field number integer     from 1, in the file's order
---@field id string          question_id, id or idx of the item, else its number
---@field name string        of the database
---@field question string
---@field difficulty? string
---@field dialect string

---@class sqlune.evaluate.InputOpts
---@field pred string                      file of predictions
---@field gold? string                     file of gold in the same order
---@field places sqlune.data.Databases     where databases are
---@field postprocess? string              name of a function of sqlune.evaluate.postprocess, default "sqlune"
---@field suite? boolean                   every database of the item's folder counts, not only the one of its name

---Gold of an item: a statement, or a list of statements of which any will do.
local function gold_of(item, where, prepare)
  for _, key in ipairs(GOLD) do
    local value = item[key]
    if type(value) == "table" and json.is_array(value) then
      if #value == 0 then return nil, ("%s: '%s' is an empty list"):format(where, key) end
      local list = {}
      for i, one in ipairs(value) do
        if type(one) ~= "string" then return nil, ("%s: '%s[%d]' is not a text"):format(where, key, i) end
        list[i] = prepare(one) or ""
      end
      return list
    end
  end
  local text, wrong = data.text(item, table.unpack(GOLD))
  if wrong then return nil, where .. ": " .. wrong end
  if not text then return nil, where .. ": 'sql' is missing" end
  return prepare(text) or ""
end

---The predicted statement. The model gave nothing (null): its error, not the file's.
local function pred_of(item, where, prepare)
  if item.pred_sql == json.null then return "" end
  local text, wrong = data.text(item, "pred_sql", "pred", "prediction")
  if not text then return nil, where .. ": " .. (wrong or "'pred_sql' is missing") end
  return (prepare(text)) or ""
end

local IDS = { "question_id", "id", "idx" }

local function id_of(item, number)
  for _, key in ipairs(IDS) do
    local value = item[key]
    if type(value) == "string" or math.type(value) == "integer" then return tostring(value) end
  end
  return tostring(number)
end

---All databases of the folder in which a database lies: the variants of a test suite.
local function suite_of(path)
  local list, folder = {}, fs.dirname(path)
  for _, name in ipairs(fs.list(folder) or {}) do
    if name:find "%.sqlite$" then list[#list + 1] = fs.join(folder, name) end
  end
  return list
end

---@class sqlune.evaluate.Reader
local function reader_of(o)
  local golds, places = {}, {}
  local name_of_rule = o.postprocess or "sqlune"
  local self = { items = {}, golds = golds, prepare = postprocess[name_of_rule] }
  -- The test-suite evaluator rewrites both sides; elsewhere gold is what it is, but for fences.
  local prepare_gold = name_of_rule:find "^testsuite" and self.prepare or sql.unfence

  ---The place of a database, looked up once for each name.
  local function place_of(name)
    if not places[name] then
      local place, missing = o.places:find(name)
      local dialect = type(place) == "table" and place.dialect or "sqlite"
      places[name] = { db = place, missing = missing, dialect = dialect,
        dbs = o.suite and type(place) == "string" and suite_of(place) or nil }
    end
    return places[name]
  end

  function self.take_gold(item, where)
    local gold, wrong = gold_of(item, where, prepare_gold)
    golds[#golds + 1] = { sql = gold, item = item, where = where }
    return wrong
  end

  function self.take(item, where, number)
    local source = item
    local gold, pred, wrong
    if o.gold then
      if not golds[number] then return ("%s: %s has only %d items"):format(where, o.gold, #golds) end
      source, gold = golds[number].item, golds[number].sql
    else
      gold, wrong = gold_of(item, where, prepare_gold)
      if wrong then return wrong end
    end
    pred, wrong = pred_of(item, where, self.prepare)
    if wrong then return wrong end
    local function text(...) return data.text(item, ...) or source ~= item and data.text(source, ...) or nil end
    local name = text("db_name", "db_id")
    if not name then return where .. ": 'db_name' is missing" end
    local place = place_of(name)
    self.items[number] = {
      number = number, id = id_of(source, number), name = name, db = place.db, dbs = place.dbs, missing = place.missing,
      dialect = place.dialect, gold = gold, pred = pred,
      question = text "question" or "", difficulty = text("difficulty", "hardness"),
    }
  end
  return self
end

---@param o sqlune.evaluate.InputOpts
---@return sqlune.evaluate.InputItem[]? items
---@return string? message
function M.read(o)
  local reader = reader_of(o)
  if o.gold then
    local count, message = data.each(o.gold, reader.take_gold)
    if not count then return nil, message end
  end
  local count, message = data.each(o.pred, reader.take)
  if not count then return nil, message end
  if #reader.items == 0 then return nil, o.pred .. ": no items" end
  if o.gold and #reader.items ~= #reader.golds then
    return nil, ("%s has %d items, %s has %d"):format(o.pred, #reader.items, o.gold, #reader.golds)
  end
  return reader.items
end

---The ids in a list of items to leave out: a JSON array, or one a line; '#' begins a comment.
---@param path string
---@return table<string, true>? ids
---@return string? message
function M.leave_out(path)
  local text, message = fs.read(path)
  if not text then return nil, message end
  local ids = {}
  if text:find "^%s*%[" then
    local list, wrong = json.decode(text)
    if not list then return nil, path .. ": " .. wrong end
    for _, id in ipairs(list) do ids[tostring(id)] = true end
  else
    for line in text:gmatch "[^\r\n]+" do
      local id = line:gsub("#.*$", ""):match "^%s*(.-)%s*$"
      if id ~= "" then ids[id] = true end
    end
  end
  return ids
end

---Digest of everything that the verdicts of these items depend on.
---@param items sqlune.evaluate.InputItem[]
---@param settings any[]
---@return string
function M.digest(items, settings)
  local parts = { json.encode(json.array(settings)) }
  local function put(text) parts[#parts + 1] = ("%d:%s"):format(#text, text) end
  local names = {} -- of databases, each once
  for _, item in ipairs(items) do
    if names[item.name] == nil then
      local db, shown = item.db, ""
      if type(db) == "string" then
        shown = db
      elseif type(db) == "table" then -- all but what is secret
        for _, key in ipairs { "dialect", "path", "host", "port", "socket", "user", "database" } do
          shown = shown .. tostring(db[key]) .. "\0"
        end
      end
      names[item.name] = shown
      put(shown)
    end
    put(item.name)
    for _, gold in ipairs(type(item.gold) == "table" and item.gold or { item.gold }) do put(gold) end
    put(item.pred)
  end
  return fs.sha256_bytes(table.concat(parts))
end

return M
