-- Reads an M-Schema text as tables, columns and foreign keys; never raises.
local M = {}

local HEADING = "【Foreign keys】"

---Where the body of a table ends: a line "]" behind which a table, the keys or nothing follows.
local function body_end(text, from)
  local at = from
  while true do
    local stop, after = text:find("\n%]%f[\n\0]", at)
    if not stop then return nil end
    local rest = text:sub(after + 1)
    if rest:find "^%s*$" or rest:find "^%s*# Table: " or rest:find("^%s*" .. HEADING) then return stop, after end
    at = after + 1
  end
end

local function parse_column(line)
  local name, type_name = line:match "^%(([^:,]*):([^,)]*)"
  local examples, list = {}, nil
  for _, prefix in ipairs { "Value examples:", "Examples:", "示例值:", "values:" } do
    local at = line:find(", " .. prefix .. " [", 1, true)
    if at then list = list or line:sub(at + #prefix + 4):match "^(.*)%]" end
  end
  if list then
    for value in (list .. ", "):gmatch "(.-), " do examples[#examples + 1] = value end
  end
  return { name = name or line:match "^%(([^,)]*)" or line, type = type_name or "", line = line, examples = examples,
    primary_key = line:find(", Primary Key", 1, true) ~= nil }
end

local function parse_columns(body)
  local columns, pending = {}, nil
  for piece in (body .. ",\n"):gmatch "(.-),\n" do
    piece = piece:gsub("^%s+", ""):gsub("%s+$", "")
    if piece:find "^%(" or pending == nil then
      pending = { piece }
      columns[#columns + 1] = pending
    else
      pending[#pending + 1] = piece
    end
  end
  for i, pieces in ipairs(columns) do columns[i] = parse_column(table.concat(pieces, ",\n")) end
  return columns
end

---@param text string
---@return table  {db_id=, tables=, foreign_keys=}
function M.parse(text)
  local heading, keys_at = nil, 1
  repeat
    local start, stop = text:find(HEADING, keys_at, true)
    if start then heading, keys_at = start, stop + 1 end
  until not start
  local result = { db_id = text:match "【DB_ID】 ([^\n]*)" or "", tables = {}, foreign_keys = {} }
  local upto, at = text:sub(1, (heading or #text + 1) - 1), 1
  while true do
    local _, head_end, head = upto:find("# Table: ([^\n]+)\n%[", at)
    if not head then break end
    local stop, after = body_end(upto, head_end)
    if not stop then break end
    local name, comment = head:match "^(.-), (.*)$"
    result.tables[#result.tables + 1] = { name = name or head, comment = comment,
      columns = parse_columns(upto:sub(head_end + 2, stop - 1)) }
    at = after + 1
  end
  for line in (heading and text:sub(keys_at) or ""):gmatch "[^\n]+" do
    local a, b, c, d = line:match "^%s*([^.=]+)%.([^=]-)%s*=%s*([^.=]+)%.(.-)%s*$"
    local key = a and { table = a, column = b, ref_table = c, ref_column = d }
    result.foreign_keys[#result.foreign_keys + 1] = key or nil
  end
  return result
end

return M
