-- One processed item becomes one conversation: checked, augmented, asked in its task's prompt, counted in tokens.
--
-- Rules: the numbers drawn for an item depend on the seed, its data set, its place in the file and, where there are
-- several draws of it, on which one: nothing else. `sql` beside a conversation is the item's own statement, for
-- evaluation, whatever the answer was turned into. What is too long loses schema that nobody needs, or is left out;
-- an answer is never cut.
local augment = require "sqlune.augment"
local items = require "sqlune.data.items"
local prompts = require "sqlune.prompt"
local random = require "sqlune.random"
local schemas = require "sqlune.augment.schema"
local sq = require "sqlune"
local json = sq.json

local PARSED_AT_MOST = 1000 -- schemas kept parsed; one per database in practice
local TRIMS = 6 -- how often a long sample's schema is made smaller

local M = { sql_keys = { "sql", "SQL", "query", "cypher", "ngql" } } -- names under which items have their statement

---@class sqlune.data.ComposerOpts
---@field seed? integer      default 1
---@field aug? boolean       false: no augmentation at all; default true
---@field augment? string    a Lua file with augmentations of one's own
---@field prompt? string     "zh" (default), "en", or a Lua file
---@field max_length? integer longer samples are left out; wants count
---@field trim? boolean      rather make the schema of a long sample smaller
---@field checker? sqlune.data.RenameChecker  renamed statements must give the same rows on a renamed copy
---@field count? fun(messages: table[]): integer?, string?  tokens of a conversation

---@class sqlune.data.Composer
local Composer = {}
Composer.__index = Composer

---@param o sqlune.data.ComposerOpts
---@return sqlune.data.Composer? composer
---@return string? message
function M.new(o)
  local steps, message
  if o.augment then steps, message = augment.load(o.augment) else steps = augment.standard() end
  if not steps then return nil, message end
  return setmetatable({ shares = not augment.changes_columns(steps),
    seed = o.seed or 1, aug = o.aug ~= false, steps = steps, prompt = o.prompt or "zh",
    max_length = o.max_length, trim = o.trim, count = o.count, checker = o.checker, parsed = {},
    parsed_count = 0, last = {} }, Composer)
end

---The prompt of a data set, loaded once.
---@param set sqlune.data.Dataset
function Composer:prompt_of(set)
  if not set.prompt_fn then
    local message
    set.prompt_fn, message = prompts.load(set.prompt or self.prompt, set.task.prompt)
    if not set.prompt_fn then return nil, message end
  end
  return set.prompt_fn
end

---Parses a schema text, once per text. A database has the same one in most of its items: comparing is cheaper than
---looking up a long text.
local function structure_of(self, text, db_name)
  local last = self.last[db_name]
  if last and last.text == text then return last.structure end
  local known = self.parsed[text]
  if not known then
    if self.parsed_count == PARSED_AT_MOST then self.parsed, self.parsed_count, self.last = {}, 0, {} end
    known = sq.schema.parse(text)
    self.parsed[text], self.parsed_count = known, self.parsed_count + 1
  end
  if db_name then self.last[db_name] = { text = text, structure = known } end
  return known
end

---The fields of a processed item as the task wants them, or nil and what is wrong with it.
---@param task sqlune.data.Task
---@param raw table
---@return table? item
---@return string? wrong
function M.fields(task, raw)
  local item, wrong = {}, nil
  local function take(key, ...)
    local value, why = items.text(raw, ...)
    wrong = wrong or why
    item[key] = value
  end
  take("db_name", "db_name", "db_id")
  take("question", "question")
  take("db_schema", "db_schema")
  take("evidence", "evidence")
  take("sql", table.unpack(M.sql_keys))
  if wrong then return nil, wrong end
  for _, key in ipairs(task.needs) do
    if not item[key] then return nil, ("'%s' is missing"):format(key) end
  end
  if not item.db_schema then return nil, "'db_schema' is missing" end
  wrong = task.check and task.check(raw)
  if wrong then return nil, wrong end
  item.evidence = item.evidence or ""
  for _, key in ipairs { "candidates", "evidences", "answer", "questions", "pred_sql_res" } do
    if raw[key] ~= json.null then item[key] = raw[key] end -- as the task checked them
  end
  return item
end

---The sample that augmentations change: schema and statements.
local function sample_of(self, set, item, where)
  local also = set.task.statements and set.task.statements(item) or nil
  local structure = not set.task.graph and structure_of(self, item.db_schema, item.db_name) or nil
  if structure and #structure.tables == 0 then
    return nil, where .. ": 'db_schema' is not an M-Schema text: no table in it"
  end
  return augment.sample { structure = structure, shares = self.shares,
    text = set.task.graph and item.db_schema or nil, sql = item.sql, also = also, question = item.question,
    evidence = item.evidence, db_name = item.db_name, dialect = set.dialect, where = where }
end

---Puts what the sample has become back into a copy of the item.
local function changed(item, sample, schema_text)
  local copy = {}
  for key, value in pairs(item) do copy[key] = value end
  copy.question, copy.evidence, copy.sql, copy.db_schema = sample.question, sample.evidence, sample.sql, schema_text
  if sample.also and item.pred_sql_res then
    copy.pred_sql_res = { sample.also[1], item.pred_sql_res[2] }
  elseif sample.also and item.candidates then
    copy.candidates = {}
    for i, one in ipairs(item.candidates) do copy.candidates[i] = { sql = sample.also[i], result = one.result } end
  end
  return copy
end

---Question and answer as the data set's prompt words them.
local function talk(set, prompt, item)
  local task = set.task
  local failed = item.pred_sql_res or {}
  local answer = item.sql
  if task.answer then answer = task.answer(item) end
  return prompts.conversation(prompt, { question = item.question, evidence = item.evidence, schema = item.db_schema,
    dialect = set.dialect, sql = item.sql, error_sql = failed[1], error_info = failed[2],
    candidates = item.candidates, evidences = item.evidences, answer = item.answer }, answer)
end

---The share of what nobody needs that goes at trim k of TRIMS: first tables, then columns.
local function trim(schema, k, order)
  local share = 2 * k / TRIMS
  schema:drop_tables(function(one) return not one.used and order(one) < share end)
  schema:drop_columns(function(column) return not column.used and not column.key and order(column) < share - 1 end)
end

---Makes the schema smaller until the conversation is short enough. Returns it and its tokens, or false: it never is.
local function trimmed(self, set, item, prompt, o)
  if set.task.graph then return false end
  local rng = random.stream(self.seed, set.name, o.number, "trim")
  local draws = {}
  local function order(thing)
    draws[thing] = draws[thing] or rng:uniform()
    return draws[thing]
  end
  local schema = schemas.new(structure_of(self, item.db_schema, item.db_name), o.statements, set.dialect)
  for k = 1, TRIMS do
    trim(schema, k, order)
    local copy = changed(item, item, schema:text())
    local messages = talk(set, prompt, copy)
    local tokens, message = self.count(messages)
    if not tokens then return nil, message end
    if tokens <= self.max_length then return messages, tokens end
  end
  return false
end

---Why the statements of a renamed sample are not shown to give the same rows; nil if they are.
local function renamed_wrongly(self, set, item, sample)
  local before = set.task.statements and set.task.statements(item) or {}
  local pairs_of = { { item.sql, sample.sql } }
  for i, one in ipairs(set.task.name == "sql2select" and before or {}) do
    pairs_of[#pairs_of + 1] = { one, sample.also[i] }
  end
  for _, pair in ipairs(pairs_of) do
    if pair[1] then
      local same, why = self.checker:check { db_name = item.db_name, sql = pair[1], renamed = pair[2],
        renamings = sample.renamings }
      if not same then return why end
    end
  end
end

---@class sqlune.data.Composed
---@field item table           the fields, after augmentation
---@field messages table[]     user's and, if the answer is known, assistant's
---@field tokens integer?      of the whole conversation, where count is given
---@field augmented boolean
---@field trimmed boolean      the schema was made smaller
---@field unlike string?       why renaming cannot be shown to keep the rows: not to be used
---@field too_long boolean     more tokens than max_length, whatever was done

---Composes an item.
---@param set sqlune.data.Dataset
---@param item table      of M.fields
---@param o { where: string, number: integer, plain?: boolean, draw?: any[] }  plain: no augmentation; draw: names of
---this draw, none for the first
---@return sqlune.data.Composed? composed
---@return string? message
function Composer:compose(set, item, o)
  local prompt, message = self:prompt_of(set)
  if not prompt then return nil, message end
  local out = { item = item, augmented = set.data_aug and self.aug and not o.plain, trimmed = false, too_long = false }
  local sample
  if out.augmented then
    sample, message = sample_of(self, set, item, o.where)
    if not sample then return nil, message end
    sample, message = augment.run(sample, self.steps, self.seed, set.name, o.number, table.unpack(o.draw or {}))
    if not sample then return nil, message end
    if sample.renamings and self.checker then out.unlike = renamed_wrongly(self, set, item, sample) end
    if out.unlike then return out end
    out.item = changed(item, sample, sample.schema:text())
  end
  out.messages = talk(set, prompt, out.item)
  if not self.count then return out end
  out.tokens, message = self.count(out.messages)
  if not out.tokens then return nil, o.where .. ": " .. message end
  if not self.max_length or out.tokens <= self.max_length then return out end
  local shorter, tokens = false, nil
  if self.trim then
    o.statements = augment.statements(out.item.sql, set.task.statements and set.task.statements(out.item))
    shorter, tokens = trimmed(self, set, out.item, prompt, o)
    if shorter == nil then return nil, o.where .. ": " .. tokens end
  end
  out.too_long = not shorter
  if shorter then out.messages, out.tokens, out.trimmed = shorter, tokens, true end
  return out
end

---The conversation as assemble writes it.
---@param set sqlune.data.Dataset
---@param item table                the fields before augmentation
---@param composed sqlune.data.Composed
---@return table record  without its id
function M.record(set, item, composed)
  local list = json.array {}
  for i, message in ipairs(composed.messages) do
    list[i] = json.object("role", message.role, "content", message.content)
  end
  local record = json.object("conversations", list, "sql_type", set.dialect, "task", set.task.name, "db_name",
    item.db_name, "question", composed.item.question, "evidence", composed.item.evidence)
  if item.sql then record.sql = item.sql end
  return record
end

return M
