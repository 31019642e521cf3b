-- What a statement uses, for breakdowns: joins, groups, nesting, set operations, windows …
local sql = require "sqlune.sql"

local M = {}

-- Feature of a keyword. A statement with none of them is "plain".
local OF = {
  JOIN = "join", GROUP = "group", HAVING = "having", ORDER = "order", LIMIT = "limit", DISTINCT = "distinct",
  UNION = "set operation", EXCEPT = "set operation", INTERSECT = "set operation", WITH = "cte", OVER = "window",
  CASE = "case", LIKE = "like", EXISTS = "exists", COUNT = "aggregate", SUM = "aggregate", AVG = "aggregate",
  MIN = "aggregate", MAX = "aggregate",
}
local ORDER = { "plain", "join", "group", "having", "order", "limit", "distinct", "aggregate", "nested",
  "set operation", "cte", "window", "case", "like", "exists" }

-- Statements are many and short: plain searches (memchr) see several times faster than patterns what is not there.
local function has(text, piece)
  return text:find(piece, 1, true) ~= nil
end

---The words of a text outside quotes and comments, upper-cased, with something else between them. The lexer reads what
---has comments, or quotes that do not pair.
local function words_of(text, dialect)
  local bare = text
  if has(bare, "'") then bare = bare:gsub("%b''", " ") end
  if has(bare, '"') then bare = bare:gsub('%b""', " ") end
  if has(bare, "`") then bare = bare:gsub("%b``", " ") end
  if not (has(bare, "'") or has(bare, '"') or has(bare, "`") or has(bare, "[") or has(bare, "--") or has(bare, "/*")) then
    return bare:upper()
  end
  local words = {}
  for _, token in ipairs(sql.significant(text, dialect)) do
    if token.kind == "keyword" or token.kind == "name" then words[#words + 1] = token.text:upper() end
  end
  return table.concat(words, " ")
end

local IN_WORD = {} -- bytes
for byte = 0, 255 do IN_WORD[byte] = string.char(byte):find "[%w_]" and true end

---Where a word begins in a text, from `at` on.
local function find_word(words, word, at)
  while true do
    local first, last = words:find(word, at, true)
    if not first then return nil end
    if not IN_WORD[(words:byte(first - 1))] and not IN_WORD[(words:byte(last + 1))] then return first end
    at = first + 1
  end
end

---@param text string
---@param dialect? string
---@return string[] features  in a fixed order
function M.of(text, dialect)
  local seen, list, words = {}, {}, words_of(text, dialect)
  for word, feature in pairs(OF) do
    if not seen[feature] and find_word(words, word, 1) then seen[feature] = true end
  end
  local first = find_word(words, "SELECT", 1)
  if first and find_word(words, "SELECT", first + 1) and text:find "%(%s*[sS][eE][lL][eE][cC][tT]" then
    seen.nested = true
  end
  if next(seen) == nil then return { "plain" } end
  for _, feature in ipairs(ORDER) do
    if seen[feature] then list[#list + 1] = feature end
  end
  return list
end

---All names, in the order in which tables show them.
M.names = ORDER

return M
