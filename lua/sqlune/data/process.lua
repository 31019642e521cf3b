-- From raw questions and databases to items that hold their schema, the first step of the original's data pipeline.
--
-- Reads raw items (db_name or db_id, question, evidence, SQL or sql or query, perhaps db_schema, what the task wants).
-- Writes OUT/NAME_TASK.json, OUT/mschema/DATABASE.txt and .json, and the entry of the data set in OUT/datasets.json.
-- Schemas come from databases, or as texts: graphs have no other.
local compose = require "sqlune.data.compose"
local config = require "sqlune.config"
local databases = require "sqlune.data.databases"
local evidences = require "sqlune.data.evidences"
local items = require "sqlune.data.items"
local progress = require "sqlune.progress"
local sq = require "sqlune"
local tasks = require "sqlune.data.tasks"
local fs, json = sq.fs, sq.json

-- Words of a raw file's name that say that its items are held out, not trained on.
local HELD_OUT = { test = true, dev = true, val = true, valid = true, validation = true, eval = true }

local function split_of(path)
  for word in fs.basename(path):lower():gmatch "%a+" do
    if HELD_OUT[word] then return "test" end
  end
  return "train"
end

---The text of a schema that is given as text: {name = text} in a file, or NAME.txt in a folder.
local function given_schema(self, name)
  if self.texts then return self.texts[name] end
  local path = fs.join(self.folder, name .. ".txt")
  return not name:find "[/%z]" and fs.exists(path) and fs.read(path) or nil
end

---Tables and columns of a text, for the table at the end; a graph's are not counted.
local function measure(known)
  local parsed = sq.schema.parse(known.text)
  known.tables, known.columns = #parsed.tables, 0
  for _, one in ipairs(parsed.tables) do known.columns = known.columns + #one.columns end
  return known
end

---The M-Schema of a database read from it; nil and why not.
local function read_schema(self, name)
  local place, message = self.databases:find(name)
  if not place then return nil, message end
  local made
  made, message = sq.schema.read(place, { db_id = name })
  if not made then return nil, ("database '%s': %s"):format(name, message), true end
  if self.comments then
    local found, wrong = sq.comments.open(self.comments, name, { mappings = self.mappings })
    if wrong then return nil, ("comments of '%s': %s"):format(name, wrong), true end
    if found then made = sq.comments.apply(made, found) end
  end
  return { text = made:text { example_num = self.examples }, made = made }
end

---The schema of a database, made once per run. false: no such database, to be skipped.
local function schema_of(self, name, where)
  local known = self.schemas[name]
  if known then return known end
  local message, broken
  if self.texts or self.folder then
    local text = given_schema(self, name)
    known = text and { text = text } or nil
    message = not text and ("no schema of '%s' in %s"):format(name, self.source) or nil
  else
    known, message, broken = read_schema(self, name)
  end
  if not known and self.skip_missing and not broken then return false end
  if not known then return nil, where .. ": " .. message end
  known.items = 0
  self.schemas[name] = measure(known)
  self.names[#self.names + 1] = name
  return known
end

---Writes the schemas, when every item was fine: as text, and as the original's JSON.
local function write_schemas(self)
  local ok, message = fs.mkdir(fs.join(self.out, "mschema"))
  for _, name in ipairs(self.names) do
    local known = self.schemas[name]
    if ok then ok, message = fs.write(fs.join(self.out, "mschema", name .. ".txt"), known.text) end
    if ok and known.made then ok, message = known.made:save(fs.join(self.out, "mschema", name .. ".json")) end
  end
  return ok, message
end

---The fields of a raw item, or what is wrong with it.
local function fields(self, raw)
  local name, wrong = items.text(raw, "db_name", "db_id")
  if wrong then return nil, wrong end
  if not name then return nil, "no database: neither 'db_name' nor 'db_id'" end
  local statement
  statement, wrong = items.text(raw, table.unpack(compose.sql_keys))
  if wrong then return nil, wrong end
  local needs_sql = false
  for _, key in ipairs(self.task.needs) do needs_sql = needs_sql or key == "sql" end
  if needs_sql and (not statement or not statement:find "%S") then
    return nil, "no SQL: neither 'SQL' nor 'sql' nor 'query'"
  end
  if items.text(raw, "question") == nil and raw.question == nil then return nil, "no 'question'" end
  return name
end

---An item as assemble reads it.
local function record_of(self, item, text)
  local record = json.object("idx", self.count, "db_name", item.db_name, "question", item.question, "evidence",
    item.evidence, "db_schema", text)
  for _, key in ipairs { "sql", "pred_sql_res", "candidates", "evidences", "questions", "answer" } do
    if item[key] ~= nil then record[key] = item[key] end
  end
  return record
end

local function add_item(self, raw, where, number)
  local name, wrong = fields(self, raw)
  if not name then return where .. ": " .. wrong end
  local own = items.text(raw, "db_schema")
  local known = own and self.without and { text = own, items = 0 } or nil
  if not known then known, wrong = schema_of(self, name, where) end
  if known == false then
    self.skipped = self.skipped + 1
    return nil
  end
  if not known then return wrong end
  if self.evidences and not self.evidences:offer(raw, name, number) then
    self.without_evidence = self.without_evidence + 1
    return nil
  end
  local item
  raw.db_schema = raw.db_schema == json.null and known.text or raw.db_schema or known.text
  item, wrong = compose.fields(self.task, raw)
  if not item then return where .. ": " .. wrong end
  known.items = known.items + 1
  if self.writer then
    local ok
    ok, wrong = self.writer:add(record_of(self, item, item.db_schema))
    if not ok then return wrong end
  end
  self.count = self.count + 1
  self.bar:update(self.count)
end

---Adds the data set to the config that assemble reads; other entries stay.
local function register(self, data_path)
  local path = self.datasets
  local sets = json.object()
  if fs.exists(path) then
    local known, message = json.read(path)
    if message then return nil, message end
    if not json.is_object(known) then return nil, path .. ": an object of data sets is expected" end
    sets = known
  end
  local entry = json.object("data_path", data_path, "sample_num", -1, "sum_num", self.count, "task_name",
    self.task.name, "data_aug", self.data_aug)
  if not self.task.dialect and self.dialect ~= "sqlite" then entry.dialect = self.dialect end
  if self.split ~= "train" then entry.split = self.split end -- the original knows training sets only
  sets[self.name] = entry
  return json.write(path, sets, { indent = 2 })
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
---@field db? string|table   folder of databases, connection file, or a table
---@field schemas? string    instead of it: schemas as texts, a JSON file {name = text} or a folder of NAME.txt
---@field out string         folder to write
---@field task? string       "nl2sql" (default: nl2sqlite, cypher … by the dialect), or another of data/tasks.lua
---@field dialect? string    where no databases say it
---@field name? string       of the data set, default: the raw file's name
---@field datasets? string   config to enter the data set in, default OUT/datasets.json
---@field comments? string   comments from elsewhere: a tables.json, a folder of databases with database_description
---@field mappings? boolean  with comments: value descriptions as what values stand for
---@field examples? integer  example values that the M-Schema shows of a column, default 3
---@field split? "train"|"test"  what assemble takes it for; default: "test" where a word of the raw file's name says so
---@field data_aug? boolean  whether assemble may augment it, default true; never a set that is held out
---@field skip_missing? boolean  leave out items whose database does not exist, instead of stopping
---@field seed? integer      of the evidences among which evidence_inference chooses; default 1
---@field dry_run? boolean   read and check everything, write nothing

---@class sqlune.data.ProcessSummary
---@field items integer
---@field skipped integer  items without a database
---@field without_evidence integer  items that evidence_inference cannot use
---@field path string      the items
---@field datasets string  the config
---@field name string      of the data set in it
---@field split "train"|"test"
---@field rows any[][]     database, items, tables, columns, characters of its schema

---Where schemas come from, into self: databases, texts, or the items themselves. Returns what is wrong.
local function open_schemas(self, o)
  if o.schemas then
    self.source = o.schemas
    if fs.is_dir(o.schemas) then
      self.folder = o.schemas
      return nil
    end
    local texts, message = json.read(o.schemas)
    if message then return message end
    if not json.is_object(texts) then return o.schemas .. ": an object of schema texts is expected" end
    for name, text in pairs(texts) do
      if type(text) ~= "string" then return ("%s: '%s' is no text"):format(o.schemas, name) end
    end
    self.texts = texts
  elseif o.db then
    local message
    self.databases, message = databases.open(o.db)
    return message
  else
    self.texts, self.source, self.without = {}, "the items: give 'db' or 'schemas'", true
  end
end

---The task and its dialect, into self. Returns what is wrong.
local function open_task(self, o)
  local name = o.task or "nl2sql"
  self.dialect = o.dialect or self.databases and self.databases.dialect or "sqlite"
  self.task = tasks.over(name, self.dialect)
  if not self.task then
    local known = table.move(tasks.names, 1, #tasks.names, 2, { "nl2sql" })
    local near = config.nearest(name, known)
    return ("no task '%s' over '%s'%s; there are %s"):format(name, self.dialect,
      near and (" (did you mean '%s'?)"):format(near) or "", table.concat(known, ", "))
  end
  self.dialect = self.task.dialect or self.dialect
end

---Processes raw items. Nothing is left half-written when something is wrong.
---@param o sqlune.data.ProcessOpts
---@return sqlune.data.ProcessSummary? summary
---@return string? message
local function process(o)
  local split = o.split or split_of(o.raw)
  local self = { out = o.out, split = split, dry_run = o.dry_run, data_aug = o.data_aug ~= false and split == "train",
    datasets = o.datasets or fs.join(o.out, "datasets.json"), skip_missing = o.skip_missing, examples = o.examples or 3,
    comments = o.comments or nil, mappings = o.mappings,
    schemas = {}, names = {}, count = 0, skipped = 0, without_evidence = 0 }
  local message = open_schemas(self, o) or open_task(self, o)
  if message then return nil, message end
  self.name = (o.name or fs.basename(o.raw):gsub("%.jsonl?$", "")) .. "_" .. self.task.name
  if self.task.name == "evidence_inference" then
    self.evidences, message = evidences.read(o.raw, self.name, o.seed or 1)
    if not self.evidences then return nil, message end
  end
  local path = fs.join(o.out, self.name .. ".json")
  local ok
  if not o.dry_run then
    ok, message = fs.mkdir(o.out)
    if not ok then return nil, message end
  end
  local writer <close>, unwritable = open_writer(o, path)
  if unwritable then return nil, unwritable end
  local bar <close> = progress.bar { label = "process" }
  self.writer, self.bar = writer, bar
  ok, message = items.each(o.raw, function(item, where, number) return add_item(self, item, where, number) end)
  if ok and self.count == 0 then ok, message = nil, o.raw .. ": no items" end
  if ok and writer then ok, message = write_schemas(self) end
  if ok and writer then ok, message = writer:commit() end
  if ok and writer then ok, message = register(self, path) end
  if not ok then return nil, message end
  return { items = self.count, skipped = self.skipped, without_evidence = self.without_evidence, path = path,
    datasets = self.datasets, name = self.name, split = split, rows = rows_of(self) }
end

return process
