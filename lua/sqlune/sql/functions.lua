-- Calls of functions in another dialect: names, order of arguments, formats of dates. Used by translate.lua.
local tree = require "sqlune.sql.tree"

local M = {}

-- Formats of dates: what strftime writes, what to_char writes. DATE_FORMAT differs from strftime in minutes alone.
local TO_CHAR = { ["%Y"] = "YYYY", ["%m"] = "MM", ["%d"] = "DD", ["%H"] = "HH24", ["%M"] = "MI", ["%S"] = "SS",
  ["%j"] = "DDD" }

---A format in strftime's letters, from a literal's text; nil if it has others.
local function format_of(text, from)
  local inner = text:match "^'(.*)'$"
  if not inner then return nil end
  if from == "mysql" then inner = inner:gsub("%%i", "%%M"):gsub("%%s", "%%S") end
  if from == "postgresql" then
    inner = inner:gsub("YYYY", "%%Y"):gsub("HH24", "%%H"):gsub("MI", "%%M"):gsub("SS", "%%S")
    inner = inner:gsub("DDD", "%%j"):gsub("DD", "%%d")
    inner = inner:gsub("%f[%a]MM%f[%A]", "%%m")
  end
  for code in inner:gmatch "%%." do
    if not TO_CHAR[code] then return nil end
  end
  return inner
end

---A call that writes a date in a format, by dialect.
local function date_text(value, format, to)
  if to == "sqlite" then return ("strftime('%s', %s)"):format(format, value) end
  if to == "mysql" then
    return ("DATE_FORMAT(%s, '%s')"):format(value, (format:gsub("%%M", "%%i"):gsub("%%S", "%%s")))
  end
  return ("TO_CHAR(CAST(%s AS TIMESTAMP), '%s')"):format(value, (format:gsub("%%.", TO_CHAR)))
end

local PARTS = { YEAR = "%Y", MONTH = "%m", DAY = "%d", HOUR = "%H", MINUTE = "%M", SECOND = "%S" }

---A part of a date as an integer.
local function date_part(part, value, to)
  if to == "sqlite" then return ("CAST(strftime('%s', %s) AS INTEGER)"):format(PARTS[part], value) end
  if to == "postgresql" then return ("EXTRACT(%s FROM CAST(%s AS TIMESTAMP))"):format(part, value) end
  return ("EXTRACT(%s FROM %s)"):format(part, value)
end

local TODAY = { sqlite = "date('now')", postgresql = "CURRENT_DATE", mysql = "CURRENT_DATE" }
local NOW = { sqlite = "datetime('now')", postgresql = "CURRENT_TIMESTAMP", mysql = "NOW()" }

---date(x, '+3 days') of SQLite.
local function moved(value, step, to)
  local sign, count, unit = step:match "^'([+-]?)(%d+) (%a-)s?'$"
  if not count or not PARTS[unit:upper()] then return nil end
  sign = sign == "-" and "-" or "+"
  if to == "postgresql" then
    return ("CAST(CAST(%s AS DATE) %s INTERVAL '%s %s' AS DATE)"):format(value, sign, count, unit)
  end
  return ("DATE(%s %s INTERVAL %s %s)"):format(value, sign, count, unit:upper())
end

-- Each rule gets the texts of the arguments and {from=, to=}; it gives the new text, false where there is no
-- counterpart, nil where the call stays as it is.
local RULES = {}

function RULES.IFNULL(a, o) return o.to == "postgresql" and ("COALESCE(%s, %s)"):format(a[1], a[2]) or nil end
function RULES.IIF(a) return ("CASE WHEN %s THEN %s ELSE %s END"):format(a[1], a[2], a[3] or "NULL") end
function RULES.IF(a, o) return o.from == "mysql" and RULES.IIF(a) or nil end

function RULES.LENGTH(a, o)
  if o.to == "mysql" then return ("CHAR_LENGTH(%s)"):format(a[1]) end
  if o.from == "mysql" then return o.to == "sqlite" and ("LENGTH(CAST(%s AS BLOB))"):format(a[1]) or
    ("OCTET_LENGTH(%s)"):format(a[1]) end
end
function RULES.CHAR_LENGTH(a, o) return o.to == "sqlite" and ("LENGTH(%s)"):format(a[1]) or nil end

function RULES.INSTR(a, o) return o.to == "postgresql" and ("STRPOS(%s, %s)"):format(a[1], a[2]) or nil end
function RULES.STRPOS(a) return ("INSTR(%s, %s)"):format(a[1], a[2]) end

function RULES.CONCAT(a, o)
  if o.to == "mysql" then return nil end
  if o.from == "postgresql" then -- PostgreSQL's leaves NULL out
    for i, one in ipairs(a) do a[i] = ("COALESCE(%s, '')"):format(one) end
  elseif o.to == "postgresql" then
    for i, one in ipairs(a) do a[i] = one:find "^'" and one or ("CAST(%s AS TEXT)"):format(one) end
  end
  return "(" .. table.concat(a, " || ") .. ")"
end

function RULES.GROUP_CONCAT(a, o)
  local value, mark = a[1], a[2] or "','"
  if o.from == "mysql" then
    local before, after = value:match "^(.-)%s+[Ss][Ee][Pp][Aa][Rr][Aa][Tt][Oo][Rr]%s+(.*)$"
    value, mark = before or value, after or mark
    if #a > 1 or value:upper():find " ORDER%s+BY " then return false end
  end
  if o.to == "mysql" then return ("GROUP_CONCAT(%s SEPARATOR %s)"):format(value, mark) end
  if o.to == "sqlite" then return ("GROUP_CONCAT(%s, %s)"):format(value, mark) end
  local distinct, rest = value:match "^([Dd][Ii][Ss][Tt][Ii][Nn][Cc][Tt])%s+(.*)$"
  return ("STRING_AGG(%sCAST(%s AS TEXT), %s)"):format(distinct and "DISTINCT " or "", rest or value, mark)
end
function RULES.STRING_AGG(a, o)
  if #a ~= 2 or a[2]:upper():find "ORDER%s+BY" then return false end
  if o.to == "mysql" then return ("GROUP_CONCAT(%s SEPARATOR %s)"):format(a[1], a[2]) end
  return ("GROUP_CONCAT(%s, %s)"):format(a[1], a[2])
end

function RULES.STRFTIME(a, o)
  local format = format_of(a[1], o.from)
  if not format or #a > 2 then return false end
  return date_text(a[2] == "'now'" and NOW[o.to] or a[2] or NOW[o.to], format, o.to)
end
function RULES.DATE_FORMAT(a, o)
  local format = a[2] and format_of(a[2], o.from)
  return format and date_text(a[1], format, o.to) or false
end
function RULES.TO_CHAR(a, o)
  local format = a[2] and format_of(a[2], o.from)
  return format and date_text(a[1], format, o.to) or false
end

for part in pairs(PARTS) do
  RULES[part] = function(a, o) return o.from == "mysql" and #a == 1 and date_part(part, a[1], o.to) or nil end
end
function RULES.EXTRACT(a, o)
  local part, value = a[1]:match "^(%a+)%s+[Ff][Rr][Oo][Mm]%s+(.*)$"
  if not part or not PARTS[part:upper()] then return false end
  return date_part(part:upper(), value, o.to)
end
function RULES.DATE_PART(a, o)
  local part = a[1]:match "^'(%a+)'$"
  return part and PARTS[part:upper()] and date_part(part:upper(), a[2], o.to) or false
end

function RULES.DATE(a, o)
  if o.from == "sqlite" and #a == 2 then
    return moved(a[1] == "'now'" and TODAY[o.to] or a[1], a[2], o.to) or false
  end
  if #a > 1 then return false end
  if a[1] == "'now'" or #a == 0 then return TODAY[o.to] end
  return o.to == "postgresql" and ("CAST(%s AS DATE)"):format(a[1]) or nil
end
function RULES.DATETIME(a, o)
  if #a == 0 or a[1] == "'now'" and #a == 1 then return NOW[o.to] end
  if #a > 1 then return false end
  return ("CAST(%s AS %s)"):format(a[1], o.to == "mysql" and "DATETIME" or "TIMESTAMP")
end
function RULES.NOW(_, o) return NOW[o.to] end
function RULES.CURDATE(_, o) return TODAY[o.to] end

function RULES.RANDOM(_, o) return o.to == "mysql" and "RAND()" or nil end
function RULES.RAND(a) return #a <= 1 and "RANDOM()" or false end

function RULES.ROUND(a, o)
  if o.to ~= "postgresql" or #a < 2 then return nil end
  return ("ROUND(CAST(%s AS NUMERIC), %s)"):format(a[1], a[2])
end

function RULES.MAX(a, o)
  return o.from == "sqlite" and #a > 1 and ("GREATEST(%s)"):format(table.concat(a, ", ")) or nil
end
function RULES.MIN(a, o)
  return o.from == "sqlite" and #a > 1 and ("LEAST(%s)"):format(table.concat(a, ", ")) or nil
end
function RULES.GREATEST(a, o) return o.to == "sqlite" and ("MAX(%s)"):format(table.concat(a, ", ")) or nil end
function RULES.LEAST(a, o) return o.to == "sqlite" and ("MIN(%s)"):format(table.concat(a, ", ")) or nil end

function RULES.CAST(a, o)
  local value, kind = a[1]:match "^(.*)%s+[Aa][Ss]%s+(.-)$"
  if not value then return false end
  if o.to == "sqlite" and kind:upper() == "DATE" then return ("date(%s)"):format(value) end
  local new = o.type_in(kind, o.to)
  return new and ("CAST(%s AS %s)"):format(value, new) or false
end

-- Fewest arguments of a rule, where it is not one.
local FEWEST = { NOW = 0, CURDATE = 0, RANDOM = 0, RAND = 0, DATE = 0, DATETIME = 0, IFNULL = 2, IIF = 2, IF = 2,
  INSTR = 2, STRPOS = 2, TO_CHAR = 2, DATE_FORMAT = 2, DATE_PART = 2, STRING_AGG = 2 }

local NONE = { JULIANDAY = true, UNIXEPOCH = true, PRINTF = true, TOTAL = true, DATE_TRUNC = true, AGE = true,
  TIMESTAMPDIFF = true, DATEDIFF = true, DATE_ADD = true, DATE_SUB = true, STR_TO_DATE = true, TO_DATE = true,
  GENERATE_SERIES = true, UNNEST = true, ARRAY_AGG = true, REGEXP_REPLACE = true, TYPEOF = true, PERCENTILE_CONT = true,
  JSON_EXTRACT = true, SUBSTRING_INDEX = true, FIELD = true, CONVERT = true, GLOB = true, QUOTE = true, HEX = true }

---Changes the call at place i of a list, whose arguments are changed already. Returns what has no counterpart.
---@param list table[]
---@param i integer
---@param o { from: string, to: string, type_in: fun(text: string, to: string): string? }
---@return string?
function M.change(list, i, o)
  local group = list[i]
  if not group.name then return nil end
  local name = group.name.text:upper()
  if NONE[name] then return name end
  local rule = RULES[name]
  if not rule then return nil end
  local arguments = {}
  for k, arg in ipairs(group.args) do arguments[k] = tree.trimmed(arg) end
  if #arguments == 1 and arguments[1] == "" then arguments = {} end
  if #arguments < (FEWEST[name] or 1) then return name end
  local text = rule(arguments, o)
  if text == false then return name end
  if text then list[i] = tree.raw(text) end
end

return M
