-- How a query's result prints: aligned columns, numbers to the right, NULL as NULL, long values cut.
local M = {}

local MAX_CELL, MAX_ROWS = 40, 50 -- columns of a cell, rows printed

local function escape(byte)
  return ("\\x%02x"):format(byte:byte())
end

---One value as a cell of a printed table.
---@param value any
---@return string text
---@return boolean number  whether it goes to the right
function M.cell(value)
  if type(value) == "number" then return tostring(value), true end
  if type(value) == "table" and value.blob then
    return "x'" .. value.blob:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'", false
  end
  if type(value) == "boolean" then return tostring(value), false end
  if type(value) ~= "string" then return "NULL", false end
  local text = value
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", escape) end
  return (text:gsub("[%z\1-\31\127]", escape)), false
end

local function cut(text, width)
  if width(text) <= MAX_CELL then return text end
  local kept = text:sub(1, (utf8.offset(text, MAX_CELL) or #text + 1) - 1)
  while width(kept) > MAX_CELL - 1 do kept = kept:sub(1, utf8.offset(kept, -1) - 1) end
  return kept .. "…"
end

---A result as lines of text, closed by the number of rows and the time.
---@param result sqlune.db.Result
---@return string
function M.format(result)
  local width = require("sqlune.core").db.width
  local lines, widths, right = {}, {}, {}
  local function add(row, header)
    local cells = {}
    for i = 1, #result.columns do
      local text, number = M.cell(row[i])
      cells[i] = cut(text, width)
      widths[i] = math.max(widths[i] or 0, width(cells[i]))
      if not header and number then right[i] = true end
    end
    lines[#lines + 1] = cells
  end
  add(result.columns, true)
  for i = 1, math.min(#result.rows, MAX_ROWS) do add(result.rows[i]) end
  for n, cells in ipairs(lines) do
    for i, text in ipairs(cells) do
      local pad = (" "):rep(widths[i] - width(text))
      cells[i] = right[i] and pad .. text or text .. pad
    end
    lines[n] = table.concat(cells, "  "):gsub(" +$", "")
  end
  if #result.rows > MAX_ROWS then lines[#lines + 1] = ("… %d more rows"):format(#result.rows - MAX_ROWS) end
  local unit = #result.rows == 1 and "row" or "rows"
  lines[#lines + 1] = ("(%d %s, %.1f ms)"):format(#result.rows, unit, result.seconds * 1000)
  return table.concat(lines, "\n")
end

return M
