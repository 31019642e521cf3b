-- Prompts: functions from a question, its evidence and a schema to the text of the user's message.
--
-- A prompt is a Lua file that returns such a function: prompt/TASK_zh.lua, prompt/TASK_en.lua, or one of yours. Where
-- the prompt words the answer too ("Candidate 2"), the function's second value is that text.
local M = {}

local DIALECTS = { sqlite = "SQLite", postgresql = "PostgreSQL", postgres = "PostgreSQL", mysql = "MySQL",
  cypher = "Neo4j", ngql = "NebulaGraph" }
local NOT_SQL = { cypher = true, ngql = true }
local LANGUAGES = { zh = true, en = true }

---@alias sqlune.prompt.Fn fun(item: sqlune.prompt.Item): string, string?

---@class sqlune.prompt.Item
---@field question string
---@field evidence string
---@field schema string      M-Schema text, or that of a graph
---@field dialect string     as people write it: "SQLite"
---@field sql? string         question_inference: the statement
---@field error_sql? string   self_refine: the statement that failed
---@field error_info? string  self_refine: what it gave
---@field candidates? { sql: string, result: string }[]  sql2select
---@field evidences? string[] evidence_inference
---@field answer? integer     sql2select, evidence_inference: the right one's place, if known

---The dialect that a data set's task or sql_type names: "nl2sqlite" and "sqlite" are "sqlite".
---@param name string
---@return string? dialect
function M.dialect(name)
  local dialect = name:lower():gsub("^nl2", "")
  if dialect == "postgres" then dialect = "postgresql" end
  return DIALECTS[dialect] and not NOT_SQL[dialect] and dialect or nil
end

---A prompt by language ("zh", "en") or by the path of a Lua file that returns a function.
---@param name string
---@param family? string  the task's prompts: "nl2sql" (default), "cypher", "self_refine" …
---@return sqlune.prompt.Fn? prompt
---@return string? message
function M.load(name, family)
  if LANGUAGES[name] then return require("sqlune.prompt." .. (family or "nl2sql") .. "_" .. name) end
  if not name:find "%.lua$" then return nil, ("no prompt '%s': there are en, zh, or a Lua file"):format(name) end
  local chunk, message = loadfile(name, "t")
  if not chunk then return nil, message end
  local ok, value = pcall(chunk)
  if not ok then return nil, tostring(value) end
  if type(value) ~= "function" then
    return nil, ("%s: it returns %s, not a function (item) -> text; lua/sqlune/prompt/nl2sql_en.lua is a pattern")
      :format(name, value == nil and "nothing" or "a " .. type(value))
  end
  return value
end

---Without the blanks at both ends; long texts are not gone through.
local function strip(text)
  local first, last = text:find "%S", #text
  while first and text:find("^%s", last) do last = last - 1 end
  return first and text:sub(first, last) or ""
end

---@class sqlune.prompt.Opts
---@field question string
---@field evidence? string
---@field schema string
---@field dialect? string  default "sqlite"
---@field task? string     the prompts' family, where `prompt` is a language; default "nl2sql"

---The user's message. Blanks around the schema are removed. Further fields of `o` reach the prompt as they are.
---@param prompt sqlune.prompt.Fn|string  a prompt or its name
---@param o sqlune.prompt.Opts
---@return string
---@return string? answer  as the prompt words it
function M.text(prompt, o)
  if type(prompt) == "string" then prompt = assert(M.load(prompt, o.task)) end
  local item, dialect = {}, o.dialect or "sqlite"
  for key, value in pairs(o) do item[key] = value end
  item.evidence, item.schema, item.dialect = o.evidence or "", strip(o.schema), DIALECTS[dialect] or dialect
  local text, answer = prompt(item)
  if type(text) ~= "string" then error("a prompt must return a text, not a " .. type(text), 2) end
  return text, type(answer) == "string" and answer or nil
end

---A conversation: the user's message and, with an answer, the assistant's.
---@param prompt sqlune.prompt.Fn|string
---@param o sqlune.prompt.Opts
---@param answer? string  none: what the prompt words, if it does
---@return table[]  {{role = "user", content = …}, …}
function M.conversation(prompt, o, answer)
  local text, worded = M.text(prompt, o)
  local list = { { role = "user", content = text } }
  answer = answer or worded
  if answer then list[2] = { role = "assistant", content = answer } end
  return list
end

return M
