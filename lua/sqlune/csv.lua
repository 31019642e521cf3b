-- CSV as people write it: UTF-8 (with or without a mark), UTF-16 with a mark, or Windows-1252; quoted fields with line
-- breaks and doubled quotes; any line ends. Nothing raises: what is odd is a warning.
local sq = require "sqlune"

local M = {}

-- Windows-1252 from 0x80 to 0x9F; what it leaves open is kept as the control character.
local upper = {
  0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D,
  0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,
  0x017E, 0x0178,
}

local function from_1252(bytes)
  return (bytes:gsub("[\x80-\xFF]", function(c)
    local code = c:byte()
    return utf8.char(code < 0xA0 and upper[code - 0x7F] or code)
  end))
end

local function from_utf16(bytes, format)
  local out, at = {}, 3
  while at + 1 <= #bytes do
    local unit = format:unpack(bytes, at)
    at = at + 2
    if unit >= 0xD800 and unit < 0xDC00 and at + 1 <= #bytes then
      local low = format:unpack(bytes, at)
      if low >= 0xDC00 and low < 0xE000 then
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
        at = at + 2
      end
    end
    out[#out + 1] = utf8.char(unit)
  end
  return table.concat(out)
end

---The bytes as UTF-8, and the encoding that they were in.
---@param bytes string
---@return string text
---@return string encoding
function M.decode(bytes)
  if bytes:sub(1, 3) == "\xEF\xBB\xBF" then bytes = bytes:sub(4) end
  if bytes:sub(1, 2) == "\xFF\xFE" then return from_utf16(bytes, "<I2"), "utf-16" end
  if bytes:sub(1, 2) == "\xFE\xFF" then return from_utf16(bytes, ">I2"), "utf-16" end
  if utf8.len(bytes) then return bytes, "utf-8" end
  return from_1252(bytes), "windows-1252"
end

---The field that begins at `at`; the place behind it; whether its quote never closes.
local function field(text, at, separator)
  if text:sub(at, at) ~= '"' then
    local stop = text:find("[" .. separator .. "\r\n]", at) or #text + 1
    return text:sub(at, stop - 1), stop
  end
  local parts, from = {}, at + 1
  while true do
    local quote = text:find('"', from, true)
    if not quote then return table.concat(parts) .. text:sub(from), #text + 1, true end
    parts[#parts + 1] = text:sub(from, quote - 1)
    if text:sub(quote + 1, quote + 1) ~= '"' then
      local stop = text:find("[" .. separator .. "\r\n]", quote + 1) or #text + 1
      return table.concat(parts) .. text:sub(quote + 1, stop - 1), stop
    end
    parts[#parts + 1] = '"'
    from = quote + 2
  end
end

---Rows of fields; empty lines are left out.
---@param text string
---@param separator? string  "," unless the first line has more of ";" or tabs
---@return string[][] rows
---@return boolean open      a quote never closes
function M.parse(text, separator)
  local first = text:match "^[^\r\n]*" or ""
  if not separator then
    local best = 0
    for _, one in ipairs { ",", ";", "\t" } do
      local _, count = first:gsub(one, "")
      if count > best then separator, best = one, count end
    end
    separator = separator or ","
  end
  local rows, row, at, open = {}, {}, 1, false
  while at <= #text do
    local value, stop, unclosed = field(text, at, separator)
    row[#row + 1], open = value, open or unclosed or false
    local next_char = text:sub(stop, stop)
    at = stop + 1
    if next_char == "\r" and text:sub(at, at) == "\n" then at = at + 1 end
    if next_char ~= separator then
      if #row > 1 or row[1] ~= "" then rows[#rows + 1] = row end
      row = {}
    elseif at > #text then
      row[#row + 1] = ""
    end
  end
  if #row > 0 and (#row > 1 or row[1] ~= "") then rows[#rows + 1] = row end
  return rows, open
end

---Reads a file: its header (names in lower case, stripped) and rows as tables by these names.
---@param path string
---@return table<string, string>[]? rows
---@return string[] warnings, string? code  or the message and the code
function M.read(path)
  local bytes, message, code = sq.fs.read(path)
  if not bytes then return nil, message, code end
  local text = M.decode(bytes)
  local rows, open = M.parse(text)
  local warnings, out, header = {}, {}, rows[1] or {}
  if open then warnings[1] = path .. ": a quote never closes" end
  for i, name in ipairs(header) do header[i] = name:lower():gsub("^%s+", ""):gsub("%s+$", ""):gsub("[%s_]+", "_") end
  for i = 2, #rows do
    local one = {}
    for k, name in ipairs(header) do one[name] = rows[i][k] or "" end
    out[#out + 1] = one
    if #rows[i] > #header then
      warnings[#warnings + 1] = ("%s: row %d has %d fields, the header %d"):format(path, i, #rows[i], #header)
    end
  end
  return out, warnings
end

return M
