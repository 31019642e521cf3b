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

---Calls visit with each upper-cased word outside quotes and comments. The lexer reads what has comments, or quotes that
---do not pair.
local function each_word(text, dialect, visit)
  local bare = text
  if text:find "['\"`]" then bare = text:gsub("%b''", " "):gsub('%b""', " "):gsub("%b``", " ") end
  if not bare:find "['\"`%[]" and not bare:find("--", 1, true) and not bare:find("/*", 1, true) then
    for word in bare:upper():gmatch "[%a_][%w_]*" do visit(word) end
  else
    for _, token in ipairs(sql.significant(text, dialect)) do
      if token.kind == "keyword" or token.kind == "name" then visit(token.text:upper()) end
    end
  end
end

---@param text string
---@param dialect? string
---@return string[] features  in a fixed order
function M.of(text, dialect)
  local seen, selects, list = {}, 0, {}
  each_word(text, dialect, function(word)
    local feature = OF[word]
    if feature then seen[feature] = true end
    if word == "SELECT" then selects = selects + 1 end
  end)
  if selects > 1 and text:find "%(%s*[sS][eE][lL][eE][cC][tT]" then seen.nested = true end
  if next(seen) == nil then return { "plain" } end
  for _, feature in ipairs(ORDER) do
    if seen[feature] then list[#list + 1] = feature end
  end
  return list
end

---All names, in the order in which tables show them.
M.names = ORDER

return M
