-- A statement of one dialect in another: sqlite, postgresql, mysql. Rules over tokens and calls; running is the judge.
--
-- Rules: what has no counterpart is refused with its name; what depends on types that a statement does not show (the
-- division of integers) gives several candidates, the likeliest first. Nothing here is promised to mean the same: see
-- data/translated.lua, which runs both.
local functions = require "sqlune.sql.functions"
local tree = require "sqlune.sql.tree"

local M = {}

local QUOTES = { sqlite = '"', postgresql = '"', mysql = "`" }

-- Types of CAST, by what they are.
local KINDS = { INTEGER = "integer", INT = "integer", BIGINT = "integer", SMALLINT = "integer", SIGNED = "integer",
  UNSIGNED = "integer", REAL = "real", FLOAT = "real", DOUBLE = "real", ["DOUBLE PRECISION"] = "real", TEXT = "text",
  CHAR = "text", VARCHAR = "text", DATE = "date", DATETIME = "datetime", TIMESTAMP = "datetime", NUMERIC = "decimal",
  DECIMAL = "decimal", BOOLEAN = "integer" }
local TYPES = {
  sqlite = { integer = "INTEGER", real = "REAL", text = "TEXT", decimal = "NUMERIC" },
  postgresql = { integer = "BIGINT", real = "DOUBLE PRECISION", text = "TEXT", date = "DATE", datetime = "TIMESTAMP",
    decimal = "NUMERIC" },
  mysql = { integer = "SIGNED", real = "DOUBLE", text = "CHAR", date = "DATE", datetime = "DATETIME",
    decimal = "DECIMAL(65,10)" },
}

---A type's counterpart; nil if there is none.
local function type_in(text, to)
  local bare, size = text:upper():match "^%s*([%a ]-)%s*(%b())%s*$"
  bare = bare or text:upper():match "^%s*(.-)%s*$"
  local kind = KINDS[bare]
  if not kind or not TYPES[to][kind] then return nil end
  if kind == "decimal" and size then return (to == "sqlite" and "NUMERIC" or "DECIMAL") .. size end
  return TYPES[to][kind]
end

-- Literals and names ------------------------------------------------------------------------------------------------

local ESCAPES = { n = "\n", t = "\t", r = "\r", ["0"] = "\0", b = "\b" }

---What a literal means: quotes and, where the dialect has them, backslashes undone.
local function meaning(token, from)
  local text, value = token.text, token.value
  if from == "mysql" or text:find "^[eE]'" then
    value = value:gsub("\\(.)", function(c)
      if from == "mysql" and (c == "%" or c == "_") then return nil end -- a pattern's own backslash
      return ESCAPES[c] or c
    end)
  end
  return value
end

local function literal(value, to)
  if to == "mysql" then value = value:gsub("\\", "\\\\") end
  return "'" .. value:gsub("'", "''") .. "'"
end

local function change_token(token, from, to)
  if token.kind == "string" then
    if token.text:find "^/%*" then return nil, "a comment that is code" end
    token.text = literal(meaning(token, from), to)
  elseif token.kind == "quoted" then
    local quote = QUOTES[to]
    token.text = quote .. token.value:gsub(quote, quote .. quote) .. quote
  elseif token.kind == "blob" and to == "postgresql" then
    return nil, "a literal of bytes"
  elseif token.text == "==" then
    token.text = "="
  elseif token.text == "<=>" then
    token.text = to == "sqlite" and "IS" or "IS NOT DISTINCT FROM"
  end
  return true
end

-- Words -------------------------------------------------------------------------------------------------------------

local REFUSED = {
  sqlite = { ILIKE = false, SIMILAR = "SIMILAR TO", RLIKE = "RLIKE", LATERAL = "LATERAL", INTERVAL = "INTERVAL" },
  postgresql = { GLOB = "GLOB", RLIKE = "RLIKE", STRAIGHT_JOIN = "STRAIGHT_JOIN" },
  mysql = { GLOB = "GLOB", FULL = "FULL JOIN", NULLS = "NULLS FIRST", SIMILAR = "SIMILAR TO", FILTER = "FILTER" },
}

local function change_word(list, i, from, to)
  local token = list[i]
  local word = token.text:upper()
  if REFUSED[to][word] and not (word == "FILTER" and not list[i + 1]) then return REFUSED[to][word] end
  if word == "LIKE" and to == "postgresql" and from ~= "postgresql" then
    token.text = "ILIKE" -- LIKE of the other two does not know capitals
  elseif word == "ILIKE" then
    token.text = "LIKE"
  elseif word == "REGEXP" and from == "mysql" and to == "postgresql" then
    token.text = "~*"
  elseif word == "INTERVAL" and from == "postgresql" and to == "mysql" then
    local at = tree.beside(list, i, 1)
    local count, unit = (list[at] or token).value:match "^%s*(%-?%d+)%s+(%a-)s?%s*$"
    if not count then return "INTERVAL" end
    list[at] = tree.raw(count .. " " .. unit:upper())
  elseif word == "INTERVAL" and from == "mysql" and to == "postgresql" then
    local at = tree.beside(list, i, 1)
    local unit = at and tree.beside(list, at, 1)
    if not unit or list[at].kind ~= "number" then return "INTERVAL" end
    list[at] = tree.raw(("'%s %s'"):format(list[at].text, list[unit].text:lower()))
    list[unit] = tree.raw ""
  end
end

-- Operators ---------------------------------------------------------------------------------------------------------

---The operand that ends (step -1) or begins (1) beside i: the places of its first and last node.
local function operand(list, i, step)
  local from = tree.beside(list, i, step)
  if not from then return nil end
  local to = from
  while list[to + step] and (list[to + step].text == "." or list[to].text == ".") do to = to + step end
  return math.min(from, to), math.max(from, to)
end

local function slice(list, from, to) return tree.trimmed(table.move(list, from, to, 1, {})) end

---Puts one node in the place of several.
local function replace(list, from, to, node)
  table.move(list, to + 1, #list + to - from, from + 1)
  list[from] = node
end

---`a || b || c` as a call for MySQL.
local function concatenate(list)
  local i = 1
  while list[i] do
    if list[i].text == "||" then
      local first, left = operand(list, i, -1)
      local right, last = operand(list, i, 1)
      if not first or not right then return "||" end
      local parts = { slice(list, first, left), slice(list, right, last) }
      local next_one = tree.beside(list, last, 1)
      while next_one and list[next_one].text == "||" do
        right, last = operand(list, next_one, 1)
        if not right then return "||" end
        parts[#parts + 1] = slice(list, right, last)
        next_one = tree.beside(list, last, 1)
      end
      replace(list, first, last, tree.raw("CONCAT(" .. table.concat(parts, ", ") .. ")"))
      i = first
    end
    i = i + 1
  end
end

---`x::type` as CAST.
local function cast(list, to)
  local i = 1
  while list[i] do
    if list[i].text == "::" then
      local first, left = operand(list, i, -1)
      local right, last = operand(list, i, 1)
      if not first or not right then return "::" end
      if list[last].text:lower() == "double" then last = tree.beside(list, last, 1) or last end
      local kind = type_in(slice(list, right, last), to)
      if not kind and to == "sqlite" and slice(list, right, last):lower() == "date" then
        replace(list, first, last, tree.raw("date(" .. slice(list, first, left) .. ")"))
      elseif not kind then
        return "a cast to " .. slice(list, right, last)
      else
        replace(list, first, last, tree.raw(("CAST(%s AS %s)"):format(slice(list, first, left), kind)))
      end
      i = first
    end
    i = i + 1
  end
end

---What `/` and DIV become: MySQL's `/` never cuts, that of the other two cuts integers.
local function divide(list, from, to, cut)
  for _, node in ipairs(list) do
    local is_div = node.kind ~= "group" and node.text:upper() == "DIV"
    if node.text == "/" and from == "mysql" then
      node.text = "* 1.0 /"
    elseif node.text == "/" and to == "mysql" and cut then
      node.text = "DIV"
    elseif is_div and from == "mysql" then
      node.text = "/"
    end
  end
end

---LIMIT a, b and FETCH FIRST n ROWS ONLY.
local function limit(list, from, to)
  for i, node in ipairs(list) do
    local word = node.kind ~= "group" and node.text:upper() or ""
    if word == "LIMIT" and to == "postgresql" then
      local a = tree.beside(list, i, 1)
      local comma = a and tree.beside(list, a, 1)
      local b = comma and tree.beside(list, comma, 1)
      if b and list[comma].text == "," then
        replace(list, a, b, tree.raw(("%s OFFSET %s"):format(list[b].text, list[a].text)))
      end
    elseif word == "FETCH" and from == "postgresql" then
      local text = slice(list, i, #list)
      local count = text:match "^%a+%s+[FfNn]%a+%s+(%d+)%s+[Rr]%a+%s+[Oo]%a+%s*;?$"
      if not count then return "FETCH" end
      replace(list, i, #list, tree.raw("LIMIT " .. count))
      return nil
    end
  end
end

-- All of it ---------------------------------------------------------------------------------------------------------

local function change_list(list, from, to, cut)
  for i = 1, #list do
    local node = list[i]
    local why
    if node.kind == "group" then
      why = functions.change(list, i, { from = from, to = to, type_in = type_in })
    elseif node.kind == "name" or node.kind == "keyword" then
      why = change_word(list, i, from, to)
    else
      local _
      _, why = change_token(node, from, to)
    end
    if why then return why end
  end
  local why = from == "postgresql" and cast(list, to) or to == "mysql" and concatenate(list) or limit(list, from, to)
  if not why then divide(list, from, to, cut) end
  return why
end

local function translated(text, from, to, cut)
  local list, why = tree.parse(text, from)
  if not list then return nil, why end
  why = tree.each(list, function(part) return change_list(part, from, to, cut) end)
  if why then return nil, ("no counterpart of %s in %s"):format(why, to) end
  return (tree.text(list):gsub("%s+$", ""))
end

---Candidates of a statement in another dialect, the likeliest first.
---@param text string
---@param from string
---@param to string
---@return string[]? candidates
---@return string? why  there is none
function M.statement(text, from, to)
  for _, dialect in ipairs { from, to } do
    if not QUOTES[dialect] then return nil, ("no translation of '%s'"):format(tostring(dialect)) end
  end
  if from == to then return { text } end
  local first, why = translated(text, from, to, false)
  if not first then return nil, why end
  local second = to == "mysql" and translated(text, from, to, true) or nil
  return second and second ~= first and { first, second } or { first }
end

return M
