-- From raw questions and databases to items that hold their schema, the first step of the original's data pipeline.
--
-- Reads raw items (db_name or db_id, question, evidence, SQL or sql or query, perhaps db_schema). Writes
-- OUT/NAME_nl2sqlite.json, OUT/mschema/DATABASE.txt and .json, and the entry of the data set in OUT/datasets.json.
local databases = require "sqlune.data.databases"
local items = require "sqlune.data.items"
local progress = require "sqlune.progress"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

-- Words of a raw file's name that say that its items are held out, not trained on.
local HELD_OUT = { test = true, dev = true, val = true, valid = true, validation = true, eval = true }

local function split_of(path)
  for word in fs.basename(path):lower():gmatch "%a+" do
    if HELD_OUT[word] then return "test" end
  end
  return "train"
end

---The M-Schema of a database, made once per run and kept beside the items. false: no such database, to be skipped.
local function schema_of(self, name, where)
  local known = self.schemas[name]
  if known then return known end
  local path, message = self.databases:find(name)
  if not path and self.skip_missing then return false end
  if not path then return nil, where .. ": " .. message end
  local made
  made, message = sq.schema.read(path, { db_id = name })
  if not made then return nil, ("%s: database '%s': %s"):format(where, name, message) end
  known = { text = made:text { example_num = self.examples }, items = 0 }
  local parsed = sq.schema.parse(known.text)
  known.tables, known.columns = #parsed.tables, 0
  for _, one in ipairs(parsed.tables) do known.columns = known.columns + #one.columns end
  known.made = made
  self.schemas[name] = known
  self.names[#self.names + 1] = name
  return known
end

---Writes the schemas, when every item was fine: as text, and as the original's JSON.
local function write_schemas(self)
  local ok, message = fs.mkdir(fs.join(self.out, "mschema"))
  for _, name in ipairs(self.names) do
    local known = self.schemas[name]
    if ok then ok, message = fs.write(fs.join(self.out, "mschema", name .. ".txt"), known.text) end
    if ok then ok, message = known.made:save(fs.join(self.out, "mschema", name .. ".json")) end
  end
  return ok, message
end

---The fields of a raw item, or what is wrong with it.
local function fields(item)
  local name, wrong = items.text(item, "db_name", "db_id")
  local question, evidence, statement, own
  if not wrong then question, wrong = items.text(item, "question") end
  if not wrong then evidence, wrong = items.text(item, "evidence") end
  if not wrong then statement, wrong = items.text(item, "SQL", "sql", "query") end
  if not wrong then own, wrong = items.text(item, "db_schema") end
  if wrong then return nil, wrong end
  if not name then return nil, "no database: neither 'db_name' nor 'db_id'" end
  if not question then return nil, "no 'question'" end
  if not statement or not statement:find "%S" then return nil, "no SQL: neither 'SQL' nor 'sql' nor 'query'" end
  return { name = name, question = question, evidence = evidence or "", sql = statement, schema = own }
end

local function add_item(self, raw, where)
  local item, wrong = fields(raw)
  if not item then return where .. ": " .. wrong end
  local known
  known, wrong = schema_of(self, item.name, where)
  if known == false then
    self.skipped = self.skipped + 1
    return nil
  end
  if not known then return wrong end
  known.items = known.items + 1
  if self.writer then
    local ok
    ok, wrong = self.writer:add(json.object("idx", self.count, "db_name", item.name, "question", item.question,
      "evidence", item.evidence, "db_schema", item.schema or known.text, "sql", item.sql))
    if not ok then return wrong end
  end
  self.count = self.count + 1
  self.bar:update(self.count)
end

---Adds the data set to the config that assemble reads; other entries stay.
local function register(self, data_path)
  local path = self.datasets
  local config = json.object()
  if fs.exists(path) then
    local known, message = json.read(path)
    if message then return nil, message end
    if not json.is_object(known) then return nil, path .. ": an object of data sets is expected" end
    config = known
  end
  local entry = json.object("data_path", data_path, "sample_num", -1, "sum_num", self.count, "task_name",
    "nl2" .. self.databases.dialect, "data_aug", self.data_aug)
  if self.split ~= "train" then entry.split = self.split end -- the original knows training sets only
  config[self.name] = entry
  return json.write(path, config, { indent = 2 })
end

local function rows_of(self)
  local rows = {}
  table.sort(self.names)
  for i, name in ipairs(self.names) do
    local known = self.schemas[name]
    rows[i] = { name, known.items, known.tables, known.columns, utf8.len(known.text) or #known.text }
  end
  return rows
end

---The file of items, unless nothing is to be written.
local function open_writer(o, path)
  if o.dry_run then return nil end
  return json.writer(path, { indent = 2 })
end

---@class sqlune.data.ProcessOpts
---@field raw string         raw items, JSON or JSON Lines
---@field db string|table    folder of databases, connection file, or a table
---@field out string         folder to write
---@field name? string       of the data set, default: the raw file's name
---@field datasets? string   config to enter the data set in, default OUT/datasets.json
---@field examples? integer  example values that the M-Schema shows of a column, default 3
---@field split? "train"|"test"  what assemble takes it for; default: "test" where a word of the raw file's name says so
---@field data_aug? boolean  whether assemble may augment it, default true; never a set that is held out
---@field skip_missing? boolean  leave out items whose database does not exist, instead of stopping
---@field dry_run? boolean   read and check everything, write nothing

---@class sqlune.data.ProcessSummary
---@field items integer
---@field skipped integer  items without a database
---@field path string      the items
---@field datasets string  the config
---@field name string      of the data set in it
---@field split "train"|"test"
---@field rows any[][]     database, items, tables, columns, characters of its schema

---Processes raw items. Nothing is left half-written when something is wrong.
---@param o sqlune.data.ProcessOpts
---@return sqlune.data.ProcessSummary? summary
---@return string? message
local function process(o)
  local places, message = databases.open(o.db)
  if not places then return nil, message end
  local name = (o.name or fs.basename(o.raw):gsub("%.jsonl?$", "")) .. "_nl2" .. places.dialect
  local path = fs.join(o.out, name .. ".json")
  local ok
  if not o.dry_run then
    ok, message = fs.mkdir(o.out)
    if not ok then return nil, message end
  end
  local writer <close>, unwritable = open_writer(o, path)
  if unwritable then return nil, unwritable end
  local bar <close> = progress.bar { label = "process" }
  local split = o.split or split_of(o.raw)
  local self = { databases = places, out = o.out, name = name, split = split, dry_run = o.dry_run,
    data_aug = o.data_aug ~= false and split == "train",
    datasets = o.datasets or fs.join(o.out, "datasets.json"), skip_missing = o.skip_missing, examples = o.examples or 3,
    writer = writer, bar = bar, schemas = {}, names = {}, count = 0, skipped = 0 }
  ok, message = items.each(o.raw, function(item, where) return add_item(self, item, where) end)
  if ok and self.count == 0 then ok, message = nil, o.raw .. ": no items" end
  if ok and writer then ok, message = write_schemas(self) end
  if ok and writer then ok, message = writer:commit() end
  if ok and writer then ok, message = register(self, path) end
  if not ok then return nil, message end
  return { items = self.count, skipped = self.skipped, path = path, datasets = self.datasets, name = name,
    split = split, rows = rows_of(self) }
end

return process
