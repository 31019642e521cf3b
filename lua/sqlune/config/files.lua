-- Files of settings: Lua tables without globals, or JSON; a file may say only how it differs from another one.
--
-- `extends = "../base.lua"` names a file of the same kind, counted from the folder of the file that says it. Groups are
-- joined key by key, lists and values replaced.
local fs = require("sqlune.core").fs
local json = require("sqlune.core").json

local M = {}

---One file by itself.
local function read(path)
  if path:find "%.json$" then
    local value, message = json.read(path)
    if message then return nil, message end
    if type(value) ~= "table" then return nil, path .. ": a table of settings is expected" end
    return value
  end
  local chunk, message = loadfile(path, "t", {})
  if not chunk then return nil, message end
  local ok, value = pcall(chunk)
  if not ok then return nil, tostring(value) end
  if type(value) ~= "table" then return nil, path .. ": a config file must end with `return { … }`" end
  return value
end

---@class sqlune.config.Layer
---@field path string
---@field values table  what the file itself says, without `extends`

---A file and those that it builds on, the lowest first.
---@param path string
---@return sqlune.config.Layer[]? layers
---@return string? message
function M.layers(path)
  local list, seen, from = {}, {}, nil
  while path do
    local values, message = read(path)
    if not values then
      return nil, from and ("%s: extends = '%s': %s"):format(from.path, from.base, message) or message
    end
    local place = fs.realpath(path) or path
    if seen[place] then return nil, ("%s: extends = '%s': the files extend each other"):format(from.path, from.base) end
    seen[place] = true
    table.insert(list, 1, { path = path, values = values })
    local base = values.extends
    if type(base) ~= "string" then break end -- a name of something else that is listed
    if values[1] ~= nil then return nil, path .. ": a list extends no other file" end
    values.extends = nil
    from = { path = path, base = base }
    path = fs.join(fs.dirname(path), base)
  end
  return list
end

---What `values` says over what stands in `into`.
local function join(into, values)
  for key, value in pairs(values) do
    local group = type(value) == "table" and value[1] == nil and type(into[key]) == "table" and into[key][1] == nil
    if group then join(into[key], value) else into[key] = value end
  end
end

---A file's table with what it builds on.
---@param path string
---@return table? value
---@return string? message
function M.load(path)
  local layers, message = M.layers(path)
  if not layers then return nil, message end
  local value = layers[1].values
  for i = 2, #layers do join(value, layers[i].values) end
  return value
end

return M
