-- What gold says about the order of its rows: whether it orders them, and the same statement with its sort keys.
--
-- Rules: only an ORDER BY at the top level counts. The keyed statement selects what gold selects, then the keys, and
-- one row more than LIMIT lets through; where that cannot be written without changing the rows (DISTINCT and set
-- operations whose keys are no columns of theirs, a LIMIT that is no number, SELECT *) there is none.
local sql = require "sqlune.sql"

local M = {}

local MOST_KEYS = 8
local SET = { UNION = true, EXCEPT = true, INTERSECT = true }
local ENDS = { LIMIT = true, OFFSET = true, FETCH = true, FOR = true }
local TRAILING = { ASC = true, DESC = true, NULLS = true, FIRST = true, LAST = true }

---@class sqlune.evaluate.Keyed
---@field sql string
---@field keys integer[]  columns of `sql` that gold sorts by

---Tokens that mean something, each with its depth in parentheses and its upper-cased text.
local function tokens_of(text, dialect)
  local list, depth = sql.significant(text, dialect), 0
  for _, token in ipairs(list) do
    if token.text == ")" then depth = depth - 1 end
    token.depth, token.upper = depth, token.text:upper()
    if token.text == "(" then depth = depth + 1 end
  end
  return list
end

local function is_word(token, word)
  return token and token.depth == 0 and token.upper == word and token.kind ~= "quoted" and token.kind ~= "string"
end

---Places of the parts of a statement: select, from, order, first key, last key, limit; set: UNION or the like.
local function parts_of(list)
  local at = {}
  for i, token in ipairs(list) do
    if token.depth == 0 and token.kind ~= "quoted" and token.kind ~= "string" then
      if is_word(token, "SELECT") then at.select, at.from = at.select or i, nil end
      if is_word(token, "FROM") then at.from = at.from or i end
      if SET[token.upper] then at.set = true end
      if is_word(token, "ORDER") and is_word(list[i + 1], "BY") then at.order, at.last = i, #list end
      if at.order and (ENDS[token.upper] or token.text == ";") and at.last == #list then at.last = i - 1 end
      if at.order and token.upper == "LIMIT" then at.limit = i end
    end
  end
  return at
end

---Ranges of tokens between commas of the top level.
local function split(list, first, last)
  local ranges, start = {}, first
  for i = first, last + 1 do
    if i > last or (list[i].depth == 0 and list[i].text == ",") then
      if i > start then ranges[#ranges + 1] = { start, i - 1 } end
      start = i + 1
    end
  end
  return ranges
end

local function text_of(text, list, range)
  return text:sub(list[range[1]].start, list[range[2]].stop)
end

---What a result column is called and how it is written.
local function columns_of(text, list, at)
  local first = at.select + 1
  if list[first] and (list[first].upper == "DISTINCT" or list[first].upper == "ALL") then first = first + 1 end
  local columns = {}
  for i, range in ipairs(split(list, first, (at.from or at.order) - 1)) do
    local last, before = list[range[2]], list[range[2] - 1]
    local column = { written = text_of(text, list, range):lower() }
    if last.text == "*" then columns.star = true end
    if range[2] > range[1] and before and before.upper == "AS" then column.alias = last.value:lower() end
    columns[i] = column
  end
  return columns
end

---The column that a key means, or nil: then it is an expression of its own.
local function column_of(key, columns)
  local position = math.tointeger(tonumber(key))
  if position then return position end
  for i, column in ipairs(columns) do
    if column.alias == key:lower() or column.written == key:lower() then return i end
  end
end

---LIMIT's number, one larger; nil if it is not a plain number.
local function widened(text, list, at)
  if not at.limit then return text end
  local number = list[at.limit + 1]
  if is_word(list[at.limit + 2], ",") or (list[at.limit + 2] or {}).text == "," then number = list[at.limit + 3] end
  local count = number and number.kind == "number" and math.tointeger(tonumber(number.text))
  if not count then return nil end
  return text:sub(1, number.start - 1) .. tostring(count + 1) .. text:sub(number.stop + 1)
end

local function keys_of(text, list, at)
  local keys = {}
  for i, range in ipairs(split(list, at.order + 2, at.last)) do
    local last = range[2]
    while last > range[1] and list[last].kind ~= "quoted" and TRAILING[list[last].upper] do last = last - 1 end
    keys[i] = text_of(text, list, { range[1], last })
  end
  return keys
end

---@param text string
---@param list table[]
---@param at table
---@return sqlune.evaluate.Keyed?
local function keyed_of(text, list, at)
  local columns, keys = columns_of(text, list, at), keys_of(text, list, at)
  local distinct = (list[at.select + 1] or {}).upper == "DISTINCT"
  local added, places = {}, {}
  for i, key in ipairs(keys) do
    local column = column_of(key, columns)
    if columns.star and column then return nil end
    if not column then
      if distinct or at.set or columns.star then return nil end
      added[#added + 1] = key
      column = #columns + #added
    end
    places[i] = column
  end
  local wide = widened(text, list, at)
  if not wide or #keys == 0 or #keys > MOST_KEYS then return nil end
  if #added > 0 then
    local cut = list[at.from or at.order].start
    wide = wide:sub(1, cut - 1) .. ", " .. table.concat(added, ", ") .. " " .. wide:sub(cut)
  end
  return { sql = wide, keys = places }
end

---@param text string
---@param dialect? string
---@return boolean ordered
---@return sqlune.evaluate.Keyed? keyed
function M.of(text, dialect)
  local lower = text:lower()
  if not lower:find("order", 1, true) or not lower:find "order%s+by" then return false end
  local list = tokens_of(text, dialect)
  local at = parts_of(list)
  if not at.order or not at.select then return false end
  return true, keyed_of(text, list, at)
end

---Parentheses that are open at the end of a text without quotes and comments.
local function depth_of(text)
  if not text:find("(", 1, true) then return 0 end
  local _, opened = text:gsub("%(", "")
  local _, closed = text:gsub("%)", "")
  return opened - closed
end

-- What only the lexer reads right. Plain searches see it several times faster than a pattern with a set.
local MARKS = { "-", "/", "'", '"', "`", "[", "#", "$" }

---Whether it orders, without its keys: cheap where there are no quotes and no comments.
---@param text string
---@param dialect? string
---@return boolean
function M.orders(text, dialect)
  local lower = text:lower()
  local at = lower:find("order", 1, true)
  at = at and lower:find("order%s+by", at)
  if not at then return false end
  for i = 1, #MARKS do
    if text:find(MARKS[i], 1, true) then return parts_of(tokens_of(text, dialect)).order ~= nil end
  end
  while at do
    local first, last = lower:find("%f[%w_]order%s+by%f[^%w_]", at)
    if first and depth_of(text:sub(1, first - 1)) == 0 then return true end
    at = last
  end
  return false
end

return M
