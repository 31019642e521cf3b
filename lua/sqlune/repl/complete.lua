-- Completion of names: globals, fields over __index chains, methods after a colon, the REPL's commands, help topics.
local core = require "sqlune.core"
local term = require "sqlune.term"

local M = {}

local home = rawget(package, "sqlune_home")

local KEYWORDS = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while",
}
local CHAIN = 20 -- steps of an __index chain that are followed

---Names of the parts of the library: modules of C and files of lua/sqlune.
local function parts()
  local names = {}
  for name in pairs(core) do names[#names + 1] = name end
  for _, file in ipairs(core.fs.list(home .. "/lua/sqlune") or {}) do
    names[#names + 1] = file:match "^([%a_][%w_]*)%.lua$"
  end
  return names
end

---Adds the string keys of a table for which keep(value) holds.
local function add_keys(set, t, keep)
  for name, value in next, t do
    if type(name) == "string" and name:find "^[%a_][%w_]*$" and keep(value) then set[name] = true end
  end
end

---Every name that value.name or value:name may have.
local function names_of(value, keep)
  local set = {}
  for _ = 1, CHAIN do
    if type(value) == "table" then add_keys(set, value, keep) end
    if value == package.loaded.sqlune then
      for _, name in ipairs(parts()) do set[name] = true end
    end
    local meta = debug.getmetatable(value)
    if type(meta) ~= "table" then break end
    if type(rawget(meta, "__methods")) == "table" then add_keys(set, meta.__methods, keep) end
    value = rawget(meta, "__index")
    if type(value) ~= "table" then break end
  end
  return set
end

---The value of a path such as sq.data; nil where something on the way is missing or raises.
local function resolve(path, env)
  local value = env
  for name in path:gmatch "[^.:]+" do
    local ok, found = pcall(function() return value[name] end)
    if not ok or found == nil then return nil end
    value = found
  end
  return value
end

local function common_prefix(names)
  local prefix = names[1]
  for _, name in ipairs(names) do
    while name:sub(1, #prefix) ~= prefix do prefix = prefix:sub(1, -2) end
  end
  return prefix
end

---Names in columns, down and then right.
local function columns(names)
  local width = 0
  for _, name in ipairs(names) do width = math.max(width, #name + 2) end
  local across = math.max(1, term.columns(1) // width)
  local rows, lines = (#names + across - 1) // across, {}
  for row = 1, rows do
    local line = {}
    for i = row, #names, rows do line[#line + 1] = names[i] .. (" "):rep(width - #names[i]) end
    lines[row] = table.concat(line):gsub("%s+$", "")
  end
  return table.concat(lines, "\n")
end

local function choose(set, start)
  local names = {}
  for name in pairs(set) do
    if name:sub(1, #start) == start and (start ~= "" or name:sub(1, 2) ~= "__") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---What may stand for the last name of a text: the names, and how much of it is typed.
---@param text string
---@param env table
---@param commands string[]  the REPL's, without the colon
---@return string[] names
---@return string start
function M.candidates(text, env, commands)
  local command = text:match "^:(%a*)$"
  if command then
    local set = {}
    for _, name in ipairs(commands) do set[name] = true end
    return choose(set, command), command
  end
  local path, mark, start = text:match "([%a_][%w_.]*)([.:])([%w_]*)$"
  if path then
    local value = resolve(path, env)
    if value == nil then return {}, start end
    local callable = function(v)
      local meta = debug.getmetatable(v)
      return type(v) == "function" or type(meta) == "table" and rawget(meta, "__call") ~= nil
    end
    return choose(names_of(value, mark == ":" and callable or function() return true end), start), start
  end
  local method = text:match "[\"']%)?:([%w_]*)$"
  if method then return choose(names_of("", function() return true end), method), method end
  start = text:match "[%a_][%w_]*$" or ""
  if text:sub(1, -#start - 1):find "[.:]$" then return {}, start end -- a field of something that was not evaluated
  local set = names_of(env, function() return true end)
  for _, word in ipairs(KEYWORDS) do set[word] = true end
  return choose(set, start), start
end

---For the editor: the text to insert at the cursor, and a list to show when there is a choice.
---@param text string  what stands before the cursor
---@param env table
---@param commands string[]
---@return string? insert
---@return string? list
function M.complete(text, env, commands)
  if text:find "^%s*$" or text:find "\n[ \t]*$" then return "  " end
  local names, start = M.candidates(text, env, commands)
  if #names == 0 then return nil end
  local more = common_prefix(names):sub(#start + 1)
  if more ~= "" or #names == 1 then return more end
  return nil, columns(names)
end

return M
