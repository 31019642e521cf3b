-- What a statement uses, for breakdowns: joins, groups, nesting, set operations, windows …
local lpeg = require "lpeg"
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

---A pattern that gives the features of all words outside quotes, "select" for each SELECT, and "?" where it takes the
---lexer to see what is quoted: comments, brackets, quotes that do not pair.
local function scanner()
  local letter = lpeg.R("az", "AZ", "09") + "_"
  local words, quoted = lpeg.P(false), lpeg.P(false)
  local function add(word, feature)
    local pattern = lpeg.P(true)
    for c in word:gmatch "." do pattern = pattern * lpeg.S(c .. c:lower()) end
    words = words + pattern * -letter * lpeg.Cc(feature)
  end
  add("SELECT", "select")
  for word, feature in pairs(OF) do add(word, feature) end
  for _, quote in ipairs { "'", '"', "`" } do quoted = quoted + quote * (1 - lpeg.P(quote)) ^ 0 * quote end
  local doubt = (lpeg.S "'\"`[" + "--" + "/*") * lpeg.Cc "?"
  local plain = 1 - letter - lpeg.S "'\"`[-/" -- first: most of what stands between words
  return lpeg.Ct((plain ^ 1 + words + letter ^ 1 + quoted + doubt + 1) ^ 0)
end

local scan = scanner()

---The text's words as the lexer sees them.
local function lexed(text, dialect)
  local words = {}
  for _, token in ipairs(sql.significant(text, dialect)) do
    if token.kind == "keyword" or token.kind == "name" then words[#words + 1] = token.text end
  end
  return table.concat(words, " ")
end

---What scan found: which features there are, and how many SELECTs. nil: there is doubt.
local function read(found)
  local seen, selects = {}, 0
  for i = 1, #found do
    if found[i] == "?" then return nil end
    if found[i] == "select" then selects = selects + 1 end
    seen[found[i]] = true
  end
  return seen, selects
end

local last_text, last_dialect, last_list -- several questions in a row often have one gold statement

---@param text string
---@param dialect? string
---@return string[] features  in a fixed order; not to be changed
function M.of(text, dialect)
  if text == last_text and dialect == last_dialect then return last_list end
  local seen, selects = read(scan:match(text))
  if not seen then seen, selects = read(scan:match(lexed(text, dialect))) end
  if selects > 1 and text:find "%(%s*[sS][eE][lL][eE][cC][tT]" then seen.nested = true end
  local list = {}
  for i = 1, #ORDER do
    if seen[ORDER[i]] then list[#list + 1] = ORDER[i] end
  end
  if #list == 0 then list[1] = "plain" end
  last_text, last_dialect, last_list = text, dialect, list
  return list
end

---All names, in the order in which tables show them.
M.names = ORDER

return M
