-- Prompts: functions from a question, its evidence and a schema to the text of the user's message.
--
-- A prompt is a Lua file that returns such a function: prompt/nl2sql_zh.lua, prompt/nl2sql_en.lua, or one of yours.
local M = {}

local DIALECTS = { sqlite = "SQLite", postgresql = "PostgreSQL", postgres = "PostgreSQL", mysql = "MySQL" }
local SHORT = { zh = "sqlune.prompt.nl2sql_zh", en = "sqlune.prompt.nl2sql_en" }

---@alias sqlune.prompt.Fn fun(item: sqlune.prompt.Item): string

---@class sqlune.prompt.Item
---@field question string
---@field evidence string
---@field schema string   M-Schema text
---@field dialect string  as people write it: "SQLite"

---The dialect that a data set's task or sql_type names: "nl2sqlite" and "sqlite" are "sqlite".
---@param name string
---@return string? dialect
function M.dialect(name)
  local dialect = name:lower():gsub("^nl2", "")
  if dialect == "postgres" then dialect = "postgresql" end
  return DIALECTS[dialect] and dialect or nil
end

---A prompt by name ("zh", "en") or by the path of a Lua file that returns a function.
---@param name string
---@return sqlune.prompt.Fn? prompt
---@return string? message
function M.load(name)
  if SHORT[name] then return require(SHORT[name]) end
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

local function strip(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

---@class sqlune.prompt.Opts
---@field question string
---@field evidence? string
---@field schema string
---@field dialect? string  default "sqlite"

---The user's message. Blanks around the schema are removed.
---@param prompt sqlune.prompt.Fn|string  a prompt or its name
---@param o sqlune.prompt.Opts
---@return string
function M.text(prompt, o)
  if type(prompt) == "string" then prompt = assert(M.load(prompt)) end
  local dialect = o.dialect or "sqlite"
  local text = prompt { question = o.question, evidence = o.evidence or "", schema = strip(o.schema),
    dialect = DIALECTS[dialect] or dialect }
  if type(text) ~= "string" then error("a prompt must return a text, not a " .. type(text), 2) end
  return text
end

---A conversation: the user's message and, with an answer, the assistant's.
---@param prompt sqlune.prompt.Fn|string
---@param o sqlune.prompt.Opts
---@param answer? string
---@return table[]  {{role = "user", content = …}, …}
function M.conversation(prompt, o, answer)
  local list = { { role = "user", content = M.text(prompt, o) } }
  if answer then list[2] = { role = "assistant", content = answer } end
  return list
end

return M
