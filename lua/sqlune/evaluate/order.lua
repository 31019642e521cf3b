-- What gold says about the order of its rows: whether it orders them, and the same statement with the rank of each row.
--
-- Rules: only an ORDER BY at the top level counts. The keyed statement selects what gold selects, behind it DENSE_RANK
-- over gold's keys, so that the database itself says which rows tie, by its collations too; and one row more than LIMIT
-- lets through. Where that cannot be written (DISTINCT that sorts by what it does not select, a position in SELECT *, a
-- set operation whose key has no name) there is none.
local sql = require "sqlune.sql"

local M = {}

local SET = { UNION = true, EXCEPT = true, INTERSECT = true, MINUS = true }
local ENDS = { LIMIT = true, OFFSET = true, FETCH = true, FOR = true }
local TRAILING = { ASC = true, DESC = true, NULLS = true, FIRST = true, LAST = true }

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

---Places of the parts of a statement: select, from (of the last SELECT), columns' end, order, last key, limit, fetch;
---set: the first UNION or the like.
local function parts_of(list)
  local at = {}
  for i, token in ipairs(list) do
    if token.depth == 0 and token.kind ~= "quoted" and token.kind ~= "string" then
      if is_word(token, "SELECT") then at.select, at.from = at.select or i, nil end
      if is_word(token, "FROM") then at.from = at.from or i end
      if SET[token.upper] and at.select then at.set = at.set or i end
      if is_word(token, "ORDER") and is_word(list[i + 1], "BY") then at.order, at.last = i, #list end
      if at.select and (at.from == i or at.set == i or at.order == i) then at.columns = at.columns or i - 1 end
      if at.order and (ENDS[token.upper] or token.text == ";") and at.last == #list then at.last = i - 1 end
      if at.order and token.upper == "LIMIT" then at.limit = i end
      if at.order and token.upper == "FETCH" then at.fetch = i end
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

local function names(token) return token.kind == "name" or token.kind == "quoted" end

---The alias at the end of a column, with or without AS: its place, and the last token of what it stands for.
local function alias_of(list, range)
  local last, before = range[2], list[range[2] - 1]
  if last == range[1] or not names(list[last]) then return nil end
  if before.upper == "AS" and before.kind ~= "quoted" then return last, last - 2 end
  if names(before) or before.kind == "number" or before.kind == "string" or before.text == ")" then
    return last, last - 1
  end
end

---The columns of the first SELECT: as written, what each is (without its alias), what the result calls it.
local function columns_of(text, list, at)
  local first = at.select + 1
  if list[first] and (list[first].upper == "DISTINCT" or list[first].upper == "ALL") then first = first + 1 end
  local columns = {}
  for i, range in ipairs(split(list, first, at.columns)) do
    local alias, stop = alias_of(list, range)
    local column = { text = text_of(text, list, { range[1], stop or range[2] }) }
    if list[range[2]].text == "*" then columns.star = true end
    if alias then
      column.alias, column.name = list[alias].value:lower(), list[alias].text
    elseif names(list[range[2]]) and (range[1] == range[2] or list[range[2] - 1].text == ".") then
      column.name = list[range[2]].text
    end
    columns[i] = column
  end
  return columns
end

---The column that a key means, or nil: then it is an expression of its own.
local function column_of(key, columns)
  local position = math.tointeger(tonumber(key))
  if position then return not columns.star and columns[position] or nil, true end
  local bare = key:lower():gsub('^["`%[](.*)["`%]]$', "%1")
  for _, column in ipairs(columns) do
    if column.alias == bare or column.text:lower() == key:lower() then return column end
  end
end

---gold's keys as DENSE_RANK takes them: no positions and no aliases, which mean something else there. nil: impossible.
local function keys_of(text, list, at, columns)
  local keys, distinct = {}, (list[at.select + 1] or {}).upper == "DISTINCT"
  if distinct and (list[at.select + 2] or {}).upper == "ON" then return nil end
  for i, range in ipairs(split(list, at.order + 2, at.last)) do
    local last = range[2]
    while last > range[1] and list[last].kind ~= "quoted" and TRAILING[list[last].upper] do last = last - 1 end
    if is_word(list[last - 1], "COLLATE") then last = last - 2 end
    if last < range[1] then return nil end
    local key = text_of(text, list, { range[1], last })
    local column, is_position = column_of(key, columns)
    if is_position and not column then return nil end
    if at.set then
      if not column and not (names(list[last]) and columns.star) or column and not column.name then return nil end
      key = column and column.name or key
    elseif distinct and not column and not columns.star then
      return nil
    else
      key = column and column.text or key
    end
    keys[i] = key .. text:sub(list[last].stop + 1, list[range[2]].stop)
  end
  return #keys > 0 and table.concat(keys, ", ") or nil
end

---The text with a LIMIT that lets one row more through; nil where that cannot be written.
local function widened(text, list, at, dialect)
  local first = at.limit and at.limit + 1 or at.fetch and at.fetch + 2
  if not first or not list[first] then return text end
  local last = at.fetch and not at.limit and first or #list
  for i = first, last do
    local token = list[i]
    if token.depth == 0 and token.text == "," then first = i + 1 end
    if token.depth == 0 and (token.upper == "OFFSET" or token.upper == "FOR" or token.upper == "FETCH"
        or token.text == ";") then
      last = i - 1
      break
    end
  end
  if not list[first] or last < first or list[first].text == "-" or list[first].upper == "ALL"
    or list[first].upper == "NULL" or list[first].upper:find "^ROWS?$" then
    return text
  end
  local range = { first, last }
  local written = text_of(text, list, range)
  local count = first == last and math.tointeger(tonumber(written))
  if not count and (dialect == "mysql" or not at.limit) then return nil end
  return text:sub(1, list[first].start - 1) .. (count and tostring(count + 1) or ("(%s) + 1"):format(written))
    .. text:sub(list[last].stop + 1)
end

---gold with the rank of each row behind its columns.
---@return string?
local function keyed_of(text, list, at, dialect)
  if not at.columns or not at.last then return nil end
  local keys = keys_of(text, list, at, columns_of(text, list, at))
  local wide = keys and widened(text, list, at, dialect)
  if not wide then return nil end
  local rank = ("DENSE_RANK() OVER (ORDER BY %s)"):format(keys)
  local order = list[at.order].start
  if at.set then
    return ("SELECT ordered_rows.*, %s FROM (%s) AS ordered_rows ORDER BY %s%s"):format(rank, wide:sub(1, order - 1),
      keys, wide:sub(list[at.last].stop + 1))
  end
  local cut = list[at.from or at.order].start
  return wide:sub(1, cut - 1) .. ", " .. rank .. " " .. wide:sub(cut)
end

---@param text string
---@param dialect? string
---@return boolean ordered
---@return string? keyed  gold with the rank of each row as its last column
function M.of(text, dialect)
  local lower = text:lower()
  if not lower:find("order", 1, true) or not lower:find "order%s+by" then return false end
  local list = tokens_of(text, dialect)
  local at = parts_of(list)
  if not at.order or not at.select then return false end
  return true, keyed_of(text, list, at, dialect)
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
