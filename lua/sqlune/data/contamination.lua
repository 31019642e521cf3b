-- Which training items stand in a benchmark: the same question, the same statement, or most of one in the same words.
--
-- Rules: questions are compared as lower-case words without punctuation, statements as tokens without blanks and
-- comments, lower-case. Beside equality, runs of 8 words (tokens) count: an item is near a benchmark where at least
-- 70 % of its runs, of three at least, stand in that benchmark's texts.
local items = require "sqlune.data.items"
local sql = require "sqlune.sql"

local RUN, SHARE, FEWEST <const> = 8, 0.7, 3

local M = {}

---@class sqlune.data.Contamination
local Index = {}
Index.__index = Index

local function words_of(text)
  local list = {}
  for word in text:lower():gmatch "[%w_\128-\255]+" do list[#list + 1] = word end
  return list
end

local function tokens_of(statement, dialect)
  local list = {}
  for _, token in ipairs(sql.significant(statement, dialect)) do
    if token.text ~= ";" then list[#list + 1] = token.text:lower() end
  end
  return list
end

---The runs of a list, each as one text.
local function runs_of(list)
  local runs = {}
  for i = 1, #list - RUN + 1 do runs[i] = table.concat(list, "\31", i, i + RUN - 1) end
  return runs
end

local function remember(self, kind, list, where)
  local whole = table.concat(list, "\31")
  self.whole[kind][whole] = self.whole[kind][whole] or where
  for _, run in ipairs(runs_of(list)) do self.runs[kind][run] = self.runs[kind][run] or where end
end

---Where a text's words stand in the benchmarks: the place, and whether all is equal.
local function place_of(self, kind, list)
  if #list == 0 then return nil end
  local place = self.whole[kind][table.concat(list, "\31")]
  if place then return place, true end
  local runs, found, first = runs_of(list), 0, nil
  if #runs < FEWEST then return nil end
  for _, run in ipairs(runs) do
    local where = self.runs[kind][run]
    if where then found, first = found + 1, first or where end
  end
  if found >= SHARE * #runs then return first, false end
end

---Reads benchmarks: files of items with 'question' and, perhaps, their SQL.
---@param paths string[]
---@param dialect? string
---@return sqlune.data.Contamination? index
---@return string? message
function M.read(paths, dialect)
  local self = setmetatable({ whole = { question = {}, sql = {} }, runs = { question = {}, sql = {} } }, Index)
  for _, path in ipairs(paths) do
    local count, message = items.each(path, function(item, where)
      local question, wrong = items.text(item, "question")
      if wrong then return where .. ": " .. wrong end
      if not question then return where .. ": 'question' is missing" end
      remember(self, "question", words_of(question), where)
      local statement = items.text(item, "SQL", "sql", "query", "cypher", "ngql")
      if statement then remember(self, "sql", tokens_of(statement, dialect), where) end
    end)
    if not count then return nil, message end
  end
  return self
end

---What of an item stands in a benchmark: "question", "question's words", "sql" or "sql's tokens", and where.
---@param item { question: string?, sql: string? }
---@param dialect? string
---@return string? kind
---@return string? where
function Index:find(item, dialect)
  if item.question then
    local place, equal = place_of(self, "question", words_of(item.question))
    if place then return equal and "question" or "question's words", place end
  end
  if item.sql then
    local place, equal = place_of(self, "sql", tokens_of(item.sql, dialect))
    if place then return equal and "sql" or "sql's tokens", place end
  end
end

---What two equal items share, whatever their blanks, case of words and comments.
---@param item table
---@param dialect? string
---@return string
function M.identity(item, dialect)
  local parts = { item.db_name or "", table.concat(words_of(item.question or ""), " ") }
  if item.sql then parts[3] = sql.squeeze(item.sql, dialect):gsub("%s*;%s*$", "") end
  return table.concat(parts, "\31")
end

return M
