-- Goes through the items of a data file (a JSON array or JSON Lines) and says where each one stands.
local json = require "sqlune.core".json

local M = {}

---Calls visit(item, where, number) for each item; where is "train.json: item 17 (line 412)". What visit returns, or
---what is wrong with the file, ends the walk as a message.
---@param path string
---@param visit fun(item: table, where: string, number: integer): string?
---@return integer? count
---@return string? message
function M.each(path, visit)
  local list <close>, message = json.items(path)
  if not list then return nil, message end
  local count = 0
  while true do
    local ok, item, number, line = pcall(list) -- raises where the file is broken
    if not ok then return nil, tostring(item) end
    if item == nil then return count end
    local where = ("%s: item %d (line %d)"):format(path, number, line)
    if type(item) ~= "table" or json.is_array(item) then return nil, where .. ": an object is expected" end
    local why = visit(item, where, number)
    if why then return nil, why end
    count = number
  end
end

---The text under the first of some keys that the item has. JSON's null counts as absent.
---@param item table
---@param ... string
---@return string? text
---@return string? wrong  what is wrong with it
function M.text(item, ...)
  for i = 1, select("#", ...) do
    local key = select(i, ...)
    local value = item[key]
    if value ~= nil and value ~= json.null then
      if type(value) ~= "string" then return nil, ("'%s' is a %s, not a text"):format(key, type(value)) end
      return value
    end
  end
end

return M
