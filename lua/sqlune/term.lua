-- Text for terminals: colours that obey NO_COLOR, TERM and --color, widths in code points, tables that fit 80 columns.
local sys = require "sqlune.core".sys

local M = {}

local CODES = {
  bold = 1, dim = 2, underline = 4,
  red = 31, green = 32, yellow = 33, blue = 34, magenta = 35, cyan = 36,
}

local colour_mode = "auto"

---Sets when colours are used: "always", "never", or "auto" (a terminal, NO_COLOR empty, TERM not dumb).
---@param mode string
function M.set_color(mode)
  if mode ~= "always" and mode ~= "never" and mode ~= "auto" then
    error("colour mode must be always, never or auto, not '" .. tostring(mode) .. "'", 2)
  end
  colour_mode = mode
end

---Whether a stream shows colours now.
---@param stream? integer 1 stdout (default), 2 stderr
---@return boolean
function M.has_color(stream)
  if colour_mode ~= "auto" then return colour_mode == "always" end
  local no_color, term = os.getenv "NO_COLOR", os.getenv "TERM"
  if no_color and no_color ~= "" or term == nil or term == "dumb" then return false end
  return sys.isatty(stream or 1)
end

---Colours a text if the stream shows colours: term.style("wrong", "bold red").
---@param text string
---@param style string  words of: bold dim underline red green yellow blue magenta cyan
---@param stream? integer
---@return string
function M.style(text, style, stream)
  local codes = {}
  for word in style:gmatch "%a+" do
    codes[#codes + 1] = CODES[word] or error("unknown style '" .. word .. "'", 2)
  end
  if not M.has_color(stream) or #codes == 0 then return text end
  return "\27[" .. table.concat(codes, ";") .. "m" .. text .. "\27[0m"
end

---Columns a text takes: code points, escape sequences of colours not counted, invalid bytes one each.
---@param text string
---@return integer
function M.width(text)
  text = text:gsub("\27%[[%d;]*m", "")
  return utf8.len(text) or #text
end

---The first `width` columns of a text; the last one is … if something was cut.
---@param text string
---@param width integer
---@return string
function M.cut(text, width)
  if M.width(text) <= width then return text end
  text = text:gsub("\27%[[%d;]*m", "")
  local stop = utf8.len(text) and utf8.offset(text, width) or width
  return width < 1 and "" or text:sub(1, stop - 1) .. "…"
end

---Breaks a text between words into lines of at most `width` columns.
---@param text string
---@param width integer
---@return string[]
function M.wrap(text, width)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if line ~= "" and M.width(line) + 1 + M.width(word) > width then
      lines[#lines + 1], line = line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return lines
end

---Columns of a terminal: $COLUMNS, else what the terminal says, else 80.
---@param stream? integer  1 stdout (default), 2 stderr
---@return integer
function M.columns(stream)
  local columns = math.tointeger(tonumber(os.getenv "COLUMNS")) or sys.columns(stream or 1)
  return columns and columns >= 20 and columns or 80
end

local function pad(text, width, right)
  local blanks = (" "):rep(width - M.width(text))
  return right and blanks .. text or text .. blanks
end

---Takes columns from the widest text column until the lines fit.
local function shrink(widths, floor, total, limit)
  while total > limit do
    local widest
    for i = 1, #widths do
      if widths[i] > floor[i] and (widest == nil or widths[i] > widths[widest]) then widest = i end
    end
    if widest == nil then return end
    widths[widest] = widths[widest] - 1
    total = total - 1
  end
end

local function is_right(align, i, rows)
  local how = type(align) == "string" and align:sub(i, i) or type(align) == "table" and align[i] or ""
  if how ~= "" then return how:sub(1, 1) == "r" end
  for _, row in ipairs(rows) do
    if row[i] ~= nil and type(row[i]) ~= "number" then return false end
  end
  return true
end

---@class sqlune.term.TableOpts
---@field columns? string[]             headings
---@field rows any[][]                  cells; nil prints as nothing
---@field align? string|string[]        "lrr" or {"left", "right"}; without it columns of numbers go right
---@field width? integer                widest line, default 80; text columns are cut with … to fit
---@field indent? integer               blanks before each line, default 2

---Prints a table as text, two blanks between columns, no line end after the last line.
---@param o sqlune.term.TableOpts
---@return string
function M.table(o)
  local columns, rows, indent = o.columns or {}, o.rows, o.indent or 2
  local count = #columns
  for _, row in ipairs(rows) do
    for i in pairs(row) do count = math.max(count, i) end
  end
  local widths, floor, right, cells = {}, {}, {}, {}
  for i = 1, count do
    right[i] = is_right(o.align, i, rows)
    widths[i] = M.width(columns[i] or "")
  end
  for r, row in ipairs(rows) do
    cells[r] = {}
    for i = 1, count do
      cells[r][i] = row[i] == nil and "" or (tostring(row[i]):gsub("[%c]+", " "))
      widths[i] = math.max(widths[i], M.width(cells[r][i]))
    end
  end
  local total = indent + 2 * (count - 1)
  for i = 1, count do
    floor[i] = right[i] and widths[i] or math.min(widths[i], 4)
    total = total + widths[i]
  end
  shrink(widths, floor, total, o.width or 80)
  local lines = {}
  local function add(row)
    local parts = {}
    for i = 1, count do parts[i] = pad(M.cut(row[i] or "", widths[i]), widths[i], right[i]) end
    lines[#lines + 1] = ((" "):rep(indent) .. table.concat(parts, "  ")):gsub("%s+$", "")
  end
  if #columns > 0 then add(columns) end
  for _, row in ipairs(cells) do add(row) end
  return table.concat(lines, "\n")
end

local UNITS = { "", "k", "M", "G", "T" }

---A count in at most four characters and a unit: 6.1k, 135M.
---@param n number
---@return string
function M.count(n)
  local unit = 1
  while math.abs(n) >= 1000 and unit < #UNITS do n, unit = n / 1000, unit + 1 end
  return (unit == 1 and n == math.floor(n) and "%d" or n < 99.95 and "%.1f" or "%.0f"):format(
    unit == 1 and n == math.floor(n) and math.tointeger(n) or n) .. UNITS[unit]
end

---A number with its noun: "1 item", "2 items".
---@param n integer
---@param noun string
---@param several? string  default: noun .. "s"
---@return string
function M.plural(n, noun, several)
  return ("%d %s"):format(n, n == 1 and noun or several or noun .. "s")
end

---Bytes in binary units: 3.2 GiB.
---@param n number
---@return string
function M.bytes(n)
  local unit = 1
  while n >= 1024 and unit < #UNITS do n, unit = n / 1024, unit + 1 end
  if unit == 1 then return ("%d B"):format(n) end
  return ("%.1f %siB"):format(n, unit == 2 and "K" or UNITS[unit])
end

---Seconds as a person says them: 0.3s, 42s, 4m12s, 2h05m.
---@param s number
---@return string
function M.duration(s)
  if s < 10 then return ("%.1fs"):format(s) end
  local whole = math.floor(s + 0.5)
  if whole < 60 then return whole .. "s" end
  if whole < 3600 then return ("%dm%02ds"):format(whole // 60, whole % 60) end
  return ("%dh%02dm"):format(whole // 3600, whole % 3600 // 60)
end

return M
