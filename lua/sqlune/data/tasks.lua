-- The tasks of training data: what each one's items must have, which prompt asks for it, what the answer is.
--
-- A task is {name, prompt, dialect?, graph?, needs, statements?}: `needs` are the fields beside db_schema; `statements`
-- gives further SQL of an item that its schema must stay able to answer. `sql_type` of a conversation is the dialect:
-- the task's own, else the data set's, else sqlite.
local json = require "sqlune.core".json

local M = {}

---@class sqlune.data.Task
---@field name string
---@field prompt string           family of prompts: lua/sqlune/prompt/FAMILY_zh.lua
---@field dialect string?         of the answer; none: the data set says it
---@field graph boolean?          the schema is that of a graph, not an M-Schema text
---@field needs string[]          texts that an item must have
---@field check? fun(item: table): string?           what else is wrong with an item
---@field statements? fun(item: table): string[]     further statements of an item
---@field answer? fun(item: table): string?          default: its SQL

local TEXTS = { "db_name", "question", "sql" }

local function is_list(value) return type(value) == "table" and value ~= json.null and #value > 0 end

---A statement that failed and its message.
local function check_failed(item)
  local pair = item.pred_sql_res
  if pair == nil or pair == json.null then return "'pred_sql_res' is missing" end
  if type(pair) ~= "table" or type(pair[1]) ~= "string" or type(pair[2]) ~= "string" then
    return "'pred_sql_res' is not a list of a statement and its result"
  end
end

local function check_place(item, count)
  local answer = item.answer
  if answer == nil or answer == json.null then return nil end -- a test set may not know
  if math.type(answer) ~= "integer" or answer < 1 or answer > count then
    return ("'answer' is not a place of 1 … %d"):format(count)
  end
end

local function check_candidates(item)
  if not is_list(item.candidates) then return "'candidates' is missing, or not a list" end
  for i, one in ipairs(item.candidates) do
    if type(one) ~= "table" or type(one.sql) ~= "string" or type(one.result) ~= "string" then
      return ("candidate %d has no 'sql' or no 'result'"):format(i)
    end
  end
  return check_place(item, #item.candidates)
end

local function check_evidences(item)
  if not is_list(item.evidences) then return "'evidences' is missing, or not a list" end
  for i, one in ipairs(item.evidences) do
    if type(one) ~= "string" then return ("entry %d of 'evidences' is a %s, not a text"):format(i, type(one)) end
  end
  return check_place(item, #item.evidences)
end

local function check_questions(item)
  local list = item.questions
  if list == nil or list == json.null then return nil end
  if not is_list(list) then return "'questions' is not a list" end
  for i, one in ipairs(list) do
    if type(one) ~= "string" then return ("entry %d of 'questions' is a %s, not a text"):format(i, type(one)) end
  end
end

local function questions_of(item)
  if is_list(item.questions) then return table.concat(item.questions, "\n") end
  return item.question
end

local function candidates_of(item)
  local list = {}
  for i, one in ipairs(item.candidates) do list[i] = one.sql end
  return list
end

---@type sqlune.data.Task[]
local LIST = {
  { name = "nl2sqlite", prompt = "nl2sql", dialect = "sqlite", needs = TEXTS },
  { name = "nl2postgresql", prompt = "nl2sql", dialect = "postgresql", needs = TEXTS },
  { name = "nl2mysql", prompt = "nl2sql", dialect = "mysql", needs = TEXTS },
  { name = "cypher", prompt = "cypher", dialect = "cypher", graph = true, needs = TEXTS },
  { name = "ngql", prompt = "ngql", dialect = "ngql", graph = true, needs = TEXTS },
  { name = "generic", prompt = "generic", needs = TEXTS },
  { name = "self_refine", prompt = "self_refine", needs = TEXTS, check = check_failed,
    statements = function(item) return { item.pred_sql_res[1] } end },
  { name = "sql2select", prompt = "sql2select", needs = { "db_name", "question" }, check = check_candidates,
    statements = candidates_of, answer = function() return nil end }, -- the prompt words it
  { name = "question_inference", prompt = "question_inference", needs = TEXTS, check = check_questions,
    answer = questions_of },
  { name = "evidence_inference", prompt = "evidence_inference", needs = TEXTS, check = check_evidences,
    answer = function(item) return item.answer and item.evidences[item.answer] end },
}

local ALIASES = { nl2postgres = "nl2postgresql", nl2cypher = "cypher", nl2ngql = "ngql", nl2gql = "ngql",
  sqlite = "nl2sqlite", postgresql = "nl2postgresql", postgres = "nl2postgresql", mysql = "nl2mysql" }

local BY_NAME = {}
M.names = {}
for i, task in ipairs(LIST) do
  BY_NAME[task.name] = task
  M.names[i] = task.name
end

M.dialects = { "sqlite", "postgresql", "mysql", "cypher", "ngql" }

---A task by its name in a data set's config; nil if there is none.
---@param name string
---@return sqlune.data.Task?
function M.find(name)
  local lower = name:lower()
  return BY_NAME[lower] or BY_NAME[ALIASES[lower]]
end

---The task of a name such as "nl2sql" over a dialect: nl2sqlite, cypher …
---@param name string
---@param dialect string
---@return sqlune.data.Task?
function M.over(name, dialect)
  if name == "nl2sql" then return M.find("nl2" .. dialect) end
  return M.find(name)
end

return M
