-- Which data sets there are: a config (the original's JSON as it is, or Lua), or one file of items. Checked, in order.
local config = require "sqlune.config"
local sq = require "sqlune"
local tasks = require "sqlune.data.tasks"
local fs, json = sq.fs, sq.json

local M = {}

local KEYS = { "name", "data_path", "sample_num", "sum_num", "task_name", "data_aug", "prompt", "split", "dialect",
  "weight" }

---@class sqlune.data.Dataset
---@field name string
---@field path string          of the items
---@field task sqlune.data.Task
---@field dialect string       of the answers
---@field sample_num integer   so many items are drawn; -1: all
---@field weight number        each item that often: 2.5 is twice, and half of them a third time
---@field total integer?       as the config says
---@field split "train"|"test"
---@field data_aug boolean
---@field prompt string?       zh, en, or a Lua file

---The file that a data set names: as it stands, or beside the config.
local function data_file(path, source)
  local beside = fs.dirname(source)
  for _, candidate in ipairs { path, fs.join(beside, path), fs.join(beside, fs.basename(path)) } do
    if fs.exists(candidate) then return candidate end
  end
  return nil, ("no file '%s' (neither here nor beside the config)"):format(path)
end

local function doubt(word, known)
  local near = config.nearest(word, known)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

---Checks the keys of an entry: names and types.
local function fault(entry)
  if type(entry) ~= "table" then return "a table is expected" end
  for key in pairs(entry) do
    local known = false
    for _, one in ipairs(KEYS) do known = known or one == key end
    if not known then return ("no setting '%s'%s"):format(key, doubt(tostring(key), KEYS)) end
  end
  if type(entry.data_path) ~= "string" then return "'data_path' is missing" end
  if math.type(entry.sample_num or -1) ~= "integer" then return "'sample_num' is not an integer" end
  local weight = entry.weight or 1
  if type(weight) ~= "number" or weight <= 0 or weight > 1000 then return "'weight' is not a number above 0" end
  if type(entry.data_aug or false) ~= "boolean" then return "'data_aug' is neither true nor false" end
  local split = entry.split or "train"
  if split ~= "train" and split ~= "test" then return "'split' is neither 'train' nor 'test'" end
  if entry.prompt ~= nil and type(entry.prompt) ~= "string" then return "'prompt' is not a text" end
end

---The task and dialect of an entry, or what is wrong.
local function task_of(entry)
  local name = entry.task_name or "nl2sqlite"
  local task = type(name) == "string" and tasks.find(name)
  if not task then
    return nil, ("no task '%s'%s; there are %s"):format(tostring(name), doubt(tostring(name), tasks.names),
      table.concat(tasks.names, ", "))
  end
  local dialect = entry.dialect or task.dialect or "sqlite"
  local known = false
  for _, one in ipairs(tasks.dialects) do known = known or one == dialect end
  if not known then
    return nil, ("no dialect '%s'%s"):format(tostring(dialect), doubt(tostring(dialect), tasks.dialects))
  end
  if task.dialect and task.dialect ~= dialect then
    return nil, ("dialect '%s' does not go with task '%s'"):format(dialect, task.name)
  end
  return task, dialect
end

---Checks one entry of the config. Returns a data set or nil and what is wrong.
local function dataset_of(name, entry, source)
  local place = ("%s: data set '%s': "):format(source, name)
  local wrong = fault(entry)
  if wrong then return nil, place .. wrong end
  local task, dialect = task_of(entry)
  if not task then return nil, place .. dialect end
  local path, message = data_file(entry.data_path, source)
  if not path then return nil, place .. message end
  return { name = name, path = path, task = task, dialect = dialect, sample_num = entry.sample_num or -1,
    weight = entry.weight or 1, total = entry.sum_num, split = entry.split or "train",
    data_aug = entry.data_aug ~= false, prompt = entry.prompt }
end

---Does the file hold a list of items, not a config?
local function is_item_file(path)
  local file = io.open(path, "r")
  if not file then return false end
  local first = file:read(64)
  file:close()
  return path:find "%.jsonl$" ~= nil or first ~= nil and first:find "^%s*%[" ~= nil
end

---The task that a file's name ends with, as process writes it: train_nl2mysql.json.
local function task_in(name)
  for _, task in ipairs(tasks.names) do
    if name:sub(-#task - 1) == "_" .. task then return task end
  end
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
---@param split? "train"|"test"|"all"  default "train"
---@return sqlune.data.Dataset[]? datasets
---@return string[]|string|nil others  names of the data sets of the other split; a message
function M.read(source, split)
  if is_item_file(source) then
    local name = fs.basename(source):gsub("%.jsonl?$", "")
    local one, message = dataset_of(name, { data_path = source, task_name = task_in(name) }, source)
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
  return of_split(list, split or "train", source)
end

return M
