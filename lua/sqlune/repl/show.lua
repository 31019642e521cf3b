-- Values as text for a person: strings in quotes inside tables, tables to a few levels, long lists cut, cycles named.
local term = require "sqlune.term"

local M = {}

local DEPTH, ITEMS = 4, 40 -- levels that are opened, entries of one table that are shown

local function quoted(text)
  if #text > 200 then text = text:sub(1, 200) .. "…" end
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\r", "\\r"):gsub("\0", "\\0"))
end

local function is_name(text) return type(text) == "string" and text:find "^[%a_][%w_]*$" ~= nil end

---Numbers before strings before the rest, each in its own order.
local function before(a, b)
  local x, y = type(a), type(b)
  if x == y and (x == "number" or x == "string") then return a < b end
  if x ~= y then return x == "number" or (x == "string" and y ~= "number") end
  return tostring(a) < tostring(b)
end

local function sorted_keys(t, length)
  local keys = {}
  for k in next, t do
    if not (math.type(k) == "integer" and k >= 1 and k <= length) then keys[#keys + 1] = k end
  end
  table.sort(keys, before)
  return keys
end

local value_text

---The entries of a table as texts, in the order in which they are shown.
local function entries(t, state, depth)
  local parts, length = {}, rawlen(t)
  for i = 1, math.min(length, ITEMS) do parts[i] = value_text(rawget(t, i), state, depth + 1) end
  if length > ITEMS then parts[#parts + 1] = ("… %d more"):format(length - ITEMS) end
  local keys = sorted_keys(t, length)
  for i = 1, math.min(#keys, ITEMS) do
    local key = keys[i]
    local name = is_name(key) and key or "[" .. (type(key) == "string" and quoted(key) or tostring(key)) .. "]"
    parts[#parts + 1] = name .. " = " .. value_text(rawget(t, key), state, depth + 1)
  end
  if #keys > ITEMS then parts[#parts + 1] = ("… %d more names"):format(#keys - ITEMS) end
  return parts
end

local function table_text(t, state, depth)
  if state[t] then return "<cycle>" end
  if next(t) == nil then return "{}" end
  if depth > DEPTH then return "{…}" end
  state[t] = true
  local parts = entries(t, state, depth)
  state[t] = nil
  local line, indent = "{ " .. table.concat(parts, ", ") .. " }", ("  "):rep(depth)
  if term.width(line) + 2 * depth <= 80 and not line:find "\n" then return line end
  return "{\n" .. indent .. table.concat(parts, ",\n" .. indent) .. "\n" .. ("  "):rep(depth - 1) .. "}"
end

function value_text(value, state, depth)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__tostring") then return tostring(value) end
  return table_text(value, state, depth)
end

---A value as the REPL prints it: a string as it is, everything else as it would be written.
---@param value any
---@return string
function M.text(value)
  if type(value) == "string" then return value end
  return value_text(value, {}, 1)
end

---Several results: side by side if they are short, else below each other.
---@param values table  with field n
---@return string
function M.results(values)
  local parts, wide = {}, false
  for i = 1, values.n do
    parts[i] = M.text(values[i])
    wide = wide or parts[i]:find "\n" ~= nil
  end
  return table.concat(parts, wide and "\n" or "   ")
end

return M
