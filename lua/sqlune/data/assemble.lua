-- From processed items to conversations: sampling, augmentation, prompt; without augmentation they are a test set.
--
-- Rules: the numbers drawn for an item depend on the seed, its data set and its place in the file, nothing else; `sql`
-- beside a conversation is the item's own statement, for evaluation, whatever the answer was turned into.
local augment = require "sqlune.augment"
local config = require "sqlune.config"
local items = require "sqlune.data.items"
local progress = require "sqlune.progress"
local prompts = require "sqlune.prompt"
local random = require "sqlune.random"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local KEYS = { "name", "data_path", "sample_num", "sum_num", "task_name", "data_aug", "prompt", "split" }
local PARSED_AT_MOST = 1000 -- schemas kept parsed; one per database in practice

---The file that a data set names: as it stands, or beside the config.
local function data_file(path, source)
  local beside = fs.dirname(source)
  for _, candidate in ipairs { path, fs.join(beside, path), fs.join(beside, fs.basename(path)) } do
    if fs.exists(candidate) then return candidate end
  end
  return nil, ("no file '%s' (neither here nor beside the config)"):format(path)
end

---Checks one entry of the config. Returns a data set or nil and what is wrong.
local function dataset_of(name, entry, source)
  local place = ("%s: data set '%s'"):format(source, name)
  if type(entry) ~= "table" then return nil, place .. ": a table is expected" end
  for key in pairs(entry) do
    local known = false
    for _, one in ipairs(KEYS) do known = known or one == key end
    if not known then
      local near = config.nearest(tostring(key), KEYS)
      return nil, ("%s: no setting '%s'%s"):format(place, key, near and (" (did you mean '%s'?)"):format(near) or "")
    end
  end
  if type(entry.data_path) ~= "string" then return nil, place .. ": 'data_path' is missing" end
  local task = entry.task_name or "nl2sqlite"
  local dialect = type(task) == "string" and prompts.dialect(task)
  if not dialect then return nil, ("%s: no task '%s' (nl2sqlite)"):format(place, tostring(task)) end
  local sample_num = entry.sample_num or -1
  if math.type(sample_num) ~= "integer" then return nil, place .. ": 'sample_num' is not an integer" end
  local split = entry.split or "train"
  if split ~= "train" and split ~= "test" then return nil, place .. ": 'split' is neither 'train' nor 'test'" end
  local path, message = data_file(entry.data_path, source)
  if not path then return nil, place .. ": " .. message end
  return { name = name, path = path, task = task, dialect = dialect, sample_num = sample_num, total = entry.sum_num,
    split = split, data_aug = entry.data_aug ~= false, prompt = entry.prompt }
end

---Does the file hold a list of items, not a config?
local function is_item_file(path)
  local file = io.open(path, "r")
  if not file then return false end
  local first = file:read(64)
  file:close()
  return path:find "%.jsonl$" ~= nil or first ~= nil and first:find "^%s*%[" ~= nil
end

---The data sets of a split. A file of items was asked for by its own name: it is taken whatever the split.
local function of_split(list, split, source)
  if split == "all" then return list, {} end
  local kept, others = {}, {}
  for _, set in ipairs(list) do
    if set.split == split then kept[#kept + 1] = set else others[#others + 1] = set.name end
  end
  if #kept > 0 then return kept, others end
  return nil, ("%s: no data set of the split '%s' (%s: ask for split=%s)"):format(source, split,
    table.concat(others, ", "), split == "train" and "test" or "train")
end

---The data sets of a config (the original's JSON, or Lua), in its order. A file of items is one data set.
---@param source string
---@param split "train"|"test"|"all"
---@return table[]? datasets
---@return string[]|string|nil others  names of the data sets of the other split; a message
local function read_datasets(source, split)
  if is_item_file(source) then
    local name = fs.basename(source):gsub("%.jsonl?$", "")
    local one, message = dataset_of(name, { data_path = source, task_name = name:match "_(nl2%a+)$" }, source)
    if not one then return nil, message end
    return { one }, {}
  end
  local entries, message = config.load(source)
  if not entries then return nil, message end
  local list, names = {}, #entries > 0 and entries or json.keys(entries)
  for i, name in ipairs(names) do
    local entry = entries[name] or name
    if #entries > 0 then name = type(entry) == "table" and entry.name or "number " .. i end
    list[i], message = dataset_of(name, entry, source)
    if not list[i] then return nil, message end
  end
  if #list == 0 then return nil, source .. ": no data sets" end
  return of_split(list, split, source)
end

---Parses a schema text, once per text.
local function structure_of(self, text)
  local known = self.parsed[text]
  if not known then
    if self.parsed_count == PARSED_AT_MOST then self.parsed, self.parsed_count = {}, 0 end
    known = sq.schema.parse(text)
    self.parsed[text], self.parsed_count = known, self.parsed_count + 1
  end
  return known
end

---The fields of a processed item, or what is wrong with it.
local function fields(item)
  local out, wrong = {}, nil
  for key, names in pairs { db_name = { "db_name", "db_id" }, question = { "question" }, db_schema = { "db_schema" },
    sql = { "sql", "SQL", "query" }, evidence = { "evidence" } } do
    local value, why = items.text(item, table.unpack(names))
    wrong = wrong or why
    out[key] = value
  end
  if wrong then return nil, wrong end
  for _, key in ipairs { "db_name", "question", "db_schema", "sql" } do
    if not out[key] then return nil, ("'%s' is missing"):format(key) end
  end
  out.evidence = out.evidence or ""
  return out
end

---The item after augmentation: its schema as text and its SQL.
local function augmented(self, set, item, where, number)
  local structure = structure_of(self, item.db_schema)
  if #structure.tables == 0 then return nil, where .. ": 'db_schema' is not an M-Schema text: no table in it" end
  local sample = augment.sample { structure = structure, sql = item.sql,
    question = item.question, evidence = item.evidence, db_name = item.db_name, dialect = set.dialect, where = where }
  local result, message = augment.run(sample, self.steps, self.seed, set.name, number)
  if not result then return nil, message end
  return { question = result.question, evidence = result.evidence, schema = result.schema:text(),
    dialect = set.dialect }, result.sql
end

local function add_item(self, set, raw, where, number)
  local item, wrong = fields(raw)
  if not item then return where .. ": " .. wrong end
  local asked = { question = item.question, evidence = item.evidence, schema = item.db_schema, dialect = set.dialect }
  local answer = item.sql
  if set.data_aug and self.aug then
    asked, answer = augmented(self, set, item, where, number)
    if not asked then return answer end
    set.augmented = set.augmented + 1
  end
  local talk = prompts.conversation(set.prompt_fn, asked, answer)
  local record = json.object("id", self.count, "conversations", {
    json.object("role", "user", "content", talk[1].content),
    json.object("role", "assistant", "content", talk[2].content),
  }, "sql_type", set.dialect, "task", set.task, "db_name", item.db_name, "question", asked.question, "evidence",
    asked.evidence, "sql", item.sql)
  if self.writer then
    local ok
    ok, wrong = self.writer:add(record)
    if not ok then return wrong end
  end
  self.count, set.used = self.count + 1, set.used + 1
  set.characters = set.characters + (utf8.len(talk[1].content) or #talk[1].content)
  self.bar:update(self.count)
end

---Which positions of the file are used; nil: all of them.
local function sampled(self, set)
  if set.sample_num < 0 then return nil end
  local count, message = items.each(set.path, function() end)
  if not count then return nil, message end
  local picked = {}
  local rng = random.stream(self.seed, set.name, "sample")
  for _, number in ipairs(rng:sample(count, math.min(count, set.sample_num))) do picked[number] = true end
  return picked
end

local function add_dataset(self, set)
  local picked, message = sampled(self, set)
  if message then return nil, message end
  set.prompt_fn, message = prompts.load(set.prompt or self.prompt)
  if not set.prompt_fn then return nil, message end
  set.used, set.augmented, set.characters = 0, 0, 0
  set.items, message = items.each(set.path, function(item, where, number)
    if picked == nil or picked[number] then return add_item(self, set, item, where, number) end
  end)
  return set.items, message
end

---The file of conversations, unless nothing is to be written.
local function open_writer(o)
  if o.dry_run then return nil end
  return json.writer(o.out, { indent = 2 })
end

---@class sqlune.data.AssembleOpts
---@field datasets string   config of data sets (the original's JSON, or Lua), or one file of items
---@field out string        conversations to write
---@field split? "train"|"test"|"all"  data sets of the config to take, default "train"
---@field seed? integer     default 1
---@field aug? boolean      false: no augmentation at all, for test sets; default true
---@field augment? string   a Lua file with augmentations of one's own
---@field prompt? string    "zh" (default), "en", or a Lua file
---@field dry_run? boolean  do everything but write

---@class sqlune.data.AssembleSummary
---@field items integer
---@field path string
---@field left_out string[]  data sets of the other split
---@field rows any[][]  data set, task, items, used, augmented, mean characters of a prompt

---Assembles a training or test set. Nothing is left half-written when something is wrong.
---@param o sqlune.data.AssembleOpts
---@return sqlune.data.AssembleSummary? summary
---@return string? message
local function assemble(o)
  local sets, left_out = read_datasets(o.datasets, o.split or "train")
  if not sets then return nil, left_out end
  local steps, message
  if o.augment then
    steps, message = augment.load(o.augment)
  else
    steps = augment.standard()
  end
  if not steps then return nil, message end
  local total = 0
  for _, set in ipairs(sets) do
    local counted = set.sample_num >= 0 and set.sample_num or set.total
    total = total and counted and counted > 0 and total + counted
  end
  local ok
  if not o.dry_run then
    ok, message = fs.mkdir(fs.dirname(o.out))
    if not ok then return nil, message end
  end
  local writer <close>, unwritable = open_writer(o)
  if unwritable then return nil, unwritable end
  local bar <close> = progress.bar { label = "assemble", total = total or nil }
  local self = { writer = writer, bar = bar, steps = steps, seed = o.seed or 1, aug = o.aug ~= false,
    prompt = o.prompt or "zh", parsed = {}, parsed_count = 0, count = 0 }
  local rows = {}
  for i, set in ipairs(sets) do
    ok, message = add_dataset(self, set)
    if not ok then return nil, message end
    rows[i] = { set.name, set.task, set.items, set.used, set.augmented, set.characters // math.max(set.used, 1) }
  end
  if self.count == 0 then return nil, o.datasets .. ": no items" end
  if writer then
    ok, message = writer:commit()
    if not ok then return nil, message end
  end
  return { items = self.count, path = o.out, left_out = left_out, rows = rows }
end

return assemble
