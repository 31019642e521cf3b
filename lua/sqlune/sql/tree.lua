-- Statements as trees of calls and parentheses, for rules that change them: {token, …, call, …}.
--
-- A node is a token {kind=, text=, value=} or a group {kind = "group", name = token?, args = {{node, …}, …}}: what
-- stands in parentheses, cut at its commas, with the name before it where it is called as a function. Blanks stay as
-- tokens, comments become one blank, so that a printed tree is the statement again but for its comments.
local sql = require "sqlune.sql"

local M = {}

local CALLED = { IF = true, LEFT = true, RIGHT = true, CAST = true, REPLACE = true, MOD = true, CONVERT = true }

---The name that a "(" belongs to, taken from the end of the list.
local function take_name(list)
  local last = list[#list]
  if not last or last.kind == "group" then return nil end
  if last.kind == "name" or last.kind == "keyword" and CALLED[last.text:upper()] then return table.remove(list) end
end

local parse_list

---The group that begins at tokens[at], which is "(". Returns it and the place behind it; nil: it is not closed.
local function parse_group(tokens, at, name)
  local group = { kind = "group", name = name, args = {} }
  at = at + 1
  while true do
    local list, stop
    list, at, stop = parse_list(tokens, at)
    group.args[#group.args + 1] = list
    if stop == ")" then return group, at end
    if stop == nil then return nil end
  end
end

---Nodes up to a comma or ")" of this level, or the end. Returns them, the place behind, and what stopped.
function parse_list(tokens, at, top)
  local list = {}
  while tokens[at] do
    local token = tokens[at]
    if token.text == "(" then
      local group, after = parse_group(tokens, at, take_name(list))
      if not group then return list, #tokens + 1, nil end
      list[#list + 1], at = group, after
    elseif not top and (token.text == ")" or token.text == ",") then
      return list, at + 1, token.text
    else
      list[#list + 1] = token.kind == "comment" and { kind = "space", text = " ", value = " " } or token
      at = at + 1
    end
  end
  return list, at, nil
end

---A statement as a list of nodes; nil if its parentheses do not match.
---@param text string
---@param dialect? string
---@return table[]? nodes
---@return string? why
function M.parse(text, dialect)
  local tokens, depth = sql.tokens(text, dialect), 0
  for _, token in ipairs(tokens) do
    depth = depth + (token.text == "(" and 1 or token.text == ")" and -1 or 0)
    if depth < 0 then break end
  end
  if depth ~= 0 then return nil, "its parentheses do not match" end
  return (parse_list(tokens, 1, true))
end

local function put(parts, list)
  for _, node in ipairs(list) do
    if node.kind == "group" then
      if node.name then parts[#parts + 1] = node.name.text end
      parts[#parts + 1] = "("
      for i, arg in ipairs(node.args) do
        if i > 1 then parts[#parts + 1] = "," end
        put(parts, arg)
      end
      parts[#parts + 1] = ")"
    else
      parts[#parts + 1] = node.text
    end
  end
end

---@param list table[]
---@return string
function M.text(list)
  local parts = {}
  put(parts, list)
  return table.concat(parts)
end

---The text of an argument without blanks around it.
---@param list table[]
---@return string
function M.trimmed(list) return M.text(list):match "^%s*(.-)%s*$" end

---A node of text that is printed as it is.
---@param text string
---@return table
function M.raw(text) return { kind = "raw", text = text, value = text } end

---Calls fn(list) for every list of the tree, inner ones first. A text that fn returns ends the walk.
---@param list table[]
---@param fn fun(list: table[]): string?
---@return string?
function M.each(list, fn)
  for _, node in ipairs(list) do
    if node.kind == "group" then
      for _, arg in ipairs(node.args) do
        local why = M.each(arg, fn)
        if why then return why end
      end
    end
  end
  return fn(list)
end

---The place of the nearest node before (step -1) or after (1) that is no blank.
---@param list table[]
---@param i integer
---@param step integer
---@return integer?
function M.beside(list, i, step)
  i = i + step
  while list[i] and list[i].kind == "space" do i = i + step end
  return list[i] and i or nil
end

return M
