-- SQL as text: the tokens of a statement, the names that it uses, a statement on one line or taken out of an answer.
--
-- The lexer is C (sq.lexer) and never fails: every byte of a text is in exactly one token, whatever the text is.
-- Dialects differ in a few tokens only: sqlite (default), postgresql, mysql, and the graph languages cypher and ngql.
local lexer = require "sqlune.core".lexer

local M = {}

---@class sqlune.sql.Token
---@field kind string    space comment string blob number keyword name quoted parameter operator unknown
---@field text string    as written
---@field value string   a string's or quoted name's contents; else the text
---@field start integer  first byte, from 1
---@field stop integer   last byte

---The tokens of a text, blanks and comments too: their texts joined are the text.
---@type fun(text: string, dialect?: string): sqlune.sql.Token[]
M.tokens = lexer.tokens

---The names in a statement, lower-cased, quotes removed: {customer = true, ["free meal count (k-12)"] = true}. String
---literals do not count; what SQLite may read as a name ("…", and '…' in a name's place) does.
---@type fun(text: string, dialect?: string): table<string, boolean>
M.identifiers = lexer.identifiers

---Whether a statement reads columns that it does not name: SELECT *, t.*, NATURAL JOIN. count(*) does not.
---@type fun(text: string, dialect?: string): boolean
M.reads_unnamed = lexer.reads_unnamed

---A statement on one line: runs of blanks and comments become one blank; literals and quoted names stay byte for byte.
---@type fun(text: string, dialect?: string): string
M.squeeze = lexer.squeeze

---The tokens that mean something: no blanks, no comments.
---@param text string
---@param dialect? string
---@return sqlune.sql.Token[]
function M.significant(text, dialect)
  local list = {}
  for _, one in ipairs(M.tokens(text, dialect)) do
    if one.kind ~= "space" and one.kind ~= "comment" then list[#list + 1] = one end
  end
  return list
end

local BLANK = { [9] = true, [10] = true, [11] = true, [12] = true, [13] = true, [32] = true } -- bytes

---A text without the blanks around it.
local function stripped(text)
  if not BLANK[text:byte(1)] and not BLANK[text:byte(-1)] then return text end
  local first = text:find "%S"
  return first and text:match(".*%S", first) or ""
end

---The statement in a model's answer: the last fenced block (```sql, ```sqlite, ```SQL, ``` …), else the text up to a
---lone closing fence; blanks around it removed.
---@param text string
---@return string
function M.unfence(text)
  if not text:find("```", 1, true) then return stripped(text) end
  local last
  for body in (text .. "\n"):gmatch "```[%a%d]*[ \t]*\r?\n(.-)\n?%f[`\0]```" do last = body end
  if not last then
    local before, after = text:match "^(.-)```[%a%d]*(.*)$"
    if before and before:find "%S" then
      last = before -- the prompt ended with the opening fence: this is the closing one
    else
      last = after and after:gsub("```.*$", "") or text
    end
  end
  return stripped(last)
end

return M
