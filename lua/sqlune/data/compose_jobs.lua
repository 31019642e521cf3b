-- What a worker of assemble does: items in, conversations as JSON text out. Used by name (sq.parallel).
--
-- A job: the data set's number, then for each item its JSON, place and draws. A result: for each item its identity,
-- what stands in a benchmark, and for each draw the conversation's text without its id. See jobs() and results()
-- below.
local contamination = require "sqlune.data.contamination"
local compose = require "sqlune.data.compose"
local databases = require "sqlune.data.databases"
local renamed = require "sqlune.data.renamed"
local sq = require "sqlune"
local tasks = require "sqlune.data.tasks"
local json = sq.json

local M = {}

local WHY = { "too long", "renamed, not shown to be the same" }
local ITEM, HEAD, DRAW = "<s4s4i4i4i1", "<s4s4s4i4", "<i1i1i4i4s4"

---@param number integer  of the data set
---@param list { text: string, where: string, number: integer, draws: integer, plain: boolean }[]
---@return string
function M.job(number, list)
  local parts = { string.pack("<i4", number) }
  for i, one in ipairs(list) do
    parts[i + 1] = ITEM:pack(one.text, one.where, one.number, one.draws,
      one.plain and 1 or 0)
  end
  return table.concat(parts)
end

---@class sqlune.data.ItemResult
---@field identity string  "" where nobody asked
---@field kind string     what stands in a benchmark; "": nothing
---@field place string    where there
---@field draws { why: string?, augmented: boolean, tokens: integer, characters: integer, text: string }[]

---@param text string
---@return sqlune.data.ItemResult[]
function M.results(text)
  local list, at = {}, 1
  while at <= #text do
    local one, count = { draws = {} }
    one.identity, one.kind, one.place, count, at = HEAD:unpack(text, at)
    for d = 1, count do
      local why, changed, tokens, characters, record
      why, changed, tokens, characters, record, at = DRAW:unpack(text, at)
      one.draws[d] = { why = WHY[why], augmented = changed == 1, tokens = tokens, characters = characters,
        text = record }
    end
    list[#list + 1] = one
  end
  return list
end

---Counts the tokens of a conversation with a model's tokenizer and template.
local function counter(folder)
  local conversations = require "sqlune.data.conversations"
  local tokenizer, message = sq.tokenizer.load(folder)
  if not tokenizer then return nil, message end
  local template
  template, message = conversations.template(folder)
  if not template then return nil, message end
  return function(messages)
    local text, wrong = template:render { messages = messages, add_generation_prompt = messages[2] == nil }
    if not text then return nil, wrong end
    local ids
    ids, wrong = tokenizer:encode(text)
    return ids and #ids, wrong
  end
end

---A draw of an item, packed.
local function one_draw(self, set, item, o)
  local composed, message = self.composer:compose(set, item, o)
  if not composed then return nil, message end
  local text = ""
  if not composed.too_long and not composed.unlike then
    text = json.encode(compose.record(set, item, composed), self.style)
  end
  local asked = composed.messages and composed.messages[1].content or ""
  local why = composed.unlike and 2 or composed.too_long and 1 or 0 -- places in WHY
  return DRAW:pack(why, composed.augmented and 1 or 0, composed.tokens or 0, sq.unicode.length(asked), text)
end

local function one_item(self, set, raw, where, number, draws, plain)
  local item, wrong = compose.fields(set.task, raw)
  if not item then return nil, where .. ": " .. wrong end
  local kind, place
  if self.benchmarks then kind, place = self.benchmarks:find(item, set.dialect) end
  local identity = self.dedupe and contamination.identity(item, set.dialect) or ""
  local parts = { HEAD:pack(identity, kind or "", place or "", draws) }
  for d = 1, draws do
    parts[d + 1], wrong = one_draw(self, set, item,
      { where = where, number = number, plain = plain, draw = d > 1 and { "draw", d } or nil })
    if not parts[d + 1] then return nil, wrong end
  end
  return table.concat(parts)
end

local function run(self, job)
  local index, at = string.unpack("<i4", job)
  local set, parts = self.sets[index], {}
  while at <= #job do
    local text, where, number, draws, plain
    text, where, number, draws, plain, at = ITEM:unpack(job, at)
    local packed, message = one_item(self, set, json.decode(text), where, number, draws, plain == 1)
    if not packed then return nil, message end
    parts[#parts + 1] = packed
  end
  return table.concat(parts)
end

---What every worker is told: settings and data sets, as text.
---@param settings table
---@return string
function M.argument(settings)
  local sets = json.array {}
  for i, set in ipairs(settings.sets) do
    sets[i] = { name = set.name, task = set.task.name, dialect = set.dialect, data_aug = set.data_aug,
      prompt = set.prompt }
  end
  return json.encode { seed = settings.seed, aug = settings.aug, augment = settings.augment, prompt = settings.prompt,
    max_length = settings.max_length, trim = settings.trim, tokenizer = settings.tokenizer, indent = settings.indent,
    dedupe = settings.dedupe, db = settings.db, against = settings.against and json.array(settings.against),
    sets = sets }
end

---@param argument string  of M.argument
---@return (fun(job: string): string?, string?)? run
---@return string? message
function M.start(argument)
  local settings = json.decode(argument)
  local count, message
  if settings.tokenizer then
    count, message = counter(settings.tokenizer)
    if not count then return nil, message end
  end
  local self = { style = { indent = settings.indent, level = 1 }, dedupe = settings.dedupe, sets = settings.sets }
  for _, set in ipairs(self.sets) do set.task = tasks.find(set.task) end
  local checker
  if settings.db then
    local places
    places, message = databases.open(settings.db)
    if not places then return nil, message end
    checker = renamed.checker(places)
  end
  self.composer, message = compose.new { checker = checker, seed = settings.seed,
    aug = settings.aug, augment = settings.augment,
    prompt = settings.prompt, max_length = settings.max_length, trim = settings.trim, count = count }
  if not self.composer then return nil, message end
  for _, set in ipairs(self.sets) do
    local prompt
    prompt, message = self.composer:prompt_of(set)
    if not prompt then return nil, message end
  end
  if settings.against then
    self.benchmarks, message = contamination.read(settings.against)
    if not self.benchmarks then return nil, message end
  end
  return function(job) return run(self, job) end
end

return setmetatable(M, { __call = function(_, argument) return M.start(argument) end })
