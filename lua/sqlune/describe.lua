-- What a language model makes of a schema: a category of every column, a description where there is no comment, a
-- description of every table. The texts it is asked with are in M.questions: change them there, or give your own.
--
-- Rules: a column's examples and its table go along, nothing else of the database; what the model says is cut to a
-- length and to one line; an answer that cannot be read leaves the column as it was and is counted.
local sq = require "sqlune"
local json = sq.json

local M = {}

M.categories = { Code = true, Enum = true, DateTime = true, Text = true, Measure = true }
M.roles = { Dimension = true, Measure = true }

---@type table<string, {column: string, table: string}>
M.questions = {
  en = {
    column = [[You describe the columns of a database for people who write SQL.

Table: {table}
Columns of the table: {columns}
Column: {column}
Type: {type}
Comment so far: {comment}
Example values: {examples}

Answer with one JSON object and nothing else:
{"category": one of "Code", "Enum", "DateTime", "Text", "Measure",
 "dim_or_meas": "Dimension" or "Measure",
 "description": what the column holds, in at most {most} characters}
Code: identifies something. Enum: a few fixed values. DateTime: a day or moment. Text: free text.
Measure: a quantity.]],
    table = [[You describe the tables of a database for people who write SQL.

{text}

What does the table {table} hold? Answer with one sentence of at most {most} characters and nothing else.]],
  },
  zh = {
    column = [[你在为编写 SQL 的人描述数据库中的列。

表：{table}
表中的列：{columns}
列：{column}
类型：{type}
已有注释：{comment}
示例值：{examples}

只回答一个 JSON 对象：
{"category": "Code"、"Enum"、"DateTime"、"Text"、"Measure" 之一,
 "dim_or_meas": "Dimension" 或 "Measure",
 "description": 该列的含义，不超过 {most} 个字}
Code：标识。Enum：少量固定取值。DateTime：日期或时间。Text：自由文本。Measure：数量。]],
    table = [[你在为编写 SQL 的人描述数据库中的表。

{text}

表 {table} 存放什么？只用一句话回答，不超过 {most} 个字。]],
  },
}

local function fill(question, values)
  return (question:gsub("{(%l+)}", function(name) return values[name] end))
end

---One line of at most so many characters.
local function shortened(text, most)
  text = text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""):gsub('^"(.*)"$', "%1")
  local stop = utf8.offset(text, most + 1)
  return stop and text:sub(1, stop - 1) or text
end

---The first JSON object in an answer, which may stand in a fence or in prose.
local function object_in(text)
  for piece in text:gmatch "%b{}" do
    local value = json.decode(piece)
    if json.is_object(value) then return value end
  end
end

local function empty(text) return text == nil or text == json.null or text == "" or text == "None" end

---Takes what the answer says into the column; false: it says nothing that can be used.
local function take(facts, answer, o)
  local value = object_in(answer)
  if not value then return false end
  local used = false
  if M.categories[value.category] then facts.category, used = value.category, true end
  if M.roles[value.dim_or_meas] then facts.dim_or_meas, used = value.dim_or_meas, true end
  if type(value.description) == "string" and value.description:find "%S" then
    if empty(facts.comment) or o.replace then facts.comment = shortened(value.description, o.column_length) end
    used = true
  end
  return used
end

local function ask_column(self, name, names, column, facts)
  local examples = {}
  for i, value in ipairs(facts.examples or {}) do if i <= 5 then examples[i] = tostring(value) end end
  local comment = empty(facts.comment) and "-" or facts.comment
  local answer, message = self.model:ask(fill(self.questions.column, { table = name, columns = names, column = column,
    type = facts.type, comment = comment, most = tostring(self.column_length),
    examples = #examples > 0 and table.concat(examples, ", ") or "-" }))
  if not answer then return nil, ("column '%s.%s': %s"):format(name, column, message) end
  self.columns = self.columns + 1
  if not take(facts, answer, self) then self.unread = self.unread + 1 end
  return true
end

local function ask_table(self, name, one, text)
  if not empty(one.comment) and not self.replace then return true end
  local answer, message = self.model:ask(fill(self.questions.table, { table = name, text = text,
    most = tostring(self.table_length) }))
  if not answer then return nil, ("table '%s': %s"):format(name, message) end
  self.tables = self.tables + 1
  if answer:find "%S" then one.comment = shortened(answer, self.table_length) else self.unread = self.unread + 1 end
  return true
end

---@class sqlune.describe.Options
---@field language? "en"|"zh"       of the questions, en
---@field questions? {column: string, table: string}  your own; {table}, {columns}, {column} … stand for the facts
---@field replace? boolean          comments of the database are replaced, too
---@field column_length? integer    characters of a description, 60 (20 in zh)
---@field table_length? integer     100
---@field on_column? fun(table: string, column: string)  called before each question

---@class sqlune.describe.Counts
---@field columns integer  columns asked about
---@field tables integer   tables asked about
---@field unread integer   answers that said nothing that can be used

---Asks a model about every column, then about every table; gives the schema with what it said.
---@param schema sqlune.schema.Schema
---@param model {ask: fun(self: any, question: string): string?, string?}  of sq.llm.open, or anything with an `ask`
---@param o? sqlune.describe.Options
---@return sqlune.schema.Schema? schema
---@return sqlune.describe.Counts|string counts  or the message
function M.run(schema, model, o)
  o = o or {}
  local language = o.language or "en"
  local self = { model = model, replace = o.replace, columns = 0, tables = 0, unread = 0,
    questions = o.questions or M.questions[language],
    column_length = o.column_length or (language == "zh" and 20 or 60), table_length = o.table_length or 100 }
  if not self.questions then error(("no questions in the language '%s' (en, zh)"):format(language), 2) end
  local document = json.decode((schema:json()))
  for name, one in pairs(document.tables) do
    local list = {}
    for column in pairs(one.fields) do list[#list + 1] = column end
    for column, facts in pairs(one.fields) do
      if o.on_column then o.on_column(name, column) end
      local ok, message = ask_column(self, name, table.concat(list, ", "), column, facts)
      if not ok then return nil, message end
    end
  end
  local so_far = assert(sq.schema.from_json(json.encode(document)))
  for name, one in pairs(document.tables) do
    local ok, message = ask_table(self, name, one, so_far:text { selected_tables = { name } })
    if not ok then return nil, message end
  end
  return assert(sq.schema.from_json(json.encode(document))),
    { columns = self.columns, tables = self.tables, unread = self.unread }
end

return M
