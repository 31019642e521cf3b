-- Goes through the items of a data file (a JSON array or JSON Lines) and says where each one stands.
local json = require "sqlune.core".json

local BRACE <const> = 123

local M = {}

---Calls visit(item, where, number) for each item; where is "train.json: item 17 (line 412)". A text that visit returns,
---or what is wrong with the file, ends the walk as a message; true ends it as it is.
---@param path string
---@param visit fun(item: table|string, where: string, number: integer): string|true|nil
---@param o? { raw?: boolean }  raw: an item is its JSON text
---@return integer? count
---@return string? message
function M.each(path, visit, o)
  local raw = o and o.raw or false
  local list <close>, message = json.items(path, { raw = raw })
  if not list then return nil, message end
  local count = 0
  while true do
    local ok, item, number, line = pcall(list) -- raises where the file is broken
    if not ok then return nil, tostring(item) end
    if item == nil then return count end
    local where = ("%s: item %d (line %d)"):format(path, number, line)
    local is_object
    if raw then is_object = item:byte() == BRACE else is_object = type(item) == "table" and not json.is_array(item) end
    if not is_object then return nil, where .. ": an object is expected" end
    local why = visit(item, where, number)
    count = number
    if why == true then return count end
    if why then return nil, why end
  end
end

---Says what is wrong with the conversation of an item, if anything is.
---@param item table
---@return string? wrong
function M.conversation_fault(item)
  local messages = item.conversations
  if messages == nil or messages == json.null then return "'conversations' is missing" end
  if type(messages) ~= "table" or #messages == 0 then return "'conversations' is not a list of messages" end
  for i, message in ipairs(messages) do
    if type(message) ~= "table" or type(message.role) ~= "string" then
      return ("message %d of 'conversations' has no 'role'"):format(i)
    end
    local content = message.content
    if content == nil or content == json.null and message.role ~= "assistant" then
      return ("message %d of 'conversations' has no 'content'"):format(i)
    end
  end
end

---The text under the first of some keys that the item has. JSON's null counts as absent.
---@param item table
---@param ... string
---@return string? text
---@return string? wrong  what is wrong with it
function M.text(item, ...)
  local key = ...
  if key == nil then return nil end
  local value = item[key]
  if type(value) == "string" then return value end
  if value == nil or value == json.null then return M.text(item, select(2, ...)) end
  return nil, ("'%s' is a %s, not a text"):format(key, type(value))
end

return M
