-- Python's strftime in the C locale, for strftime_now.
local errors = require "sqlune.jinja.errors"

local M = {}

local days = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local months = {
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
}

local function two(n) return ("%02d"):format(n) end

local function blank(n) return ("%2d"):format(n) end

local function hour12(t) return (t.hour + 11) % 12 + 1 end

-- Week of the year by ISO 8601, and the year it belongs to.
local function iso_week(t)
  local weekday = (t.wday + 5) % 7 -- Monday is 0
  local week = (t.yday - 1 - weekday + 10) // 7
  if week < 1 then
    local before = os.date("*t", os.time { year = t.year - 1, month = 12, day = 31, hour = 12 })
    return iso_week(before), t.year - 1
  end
  local leap = t.year % 4 == 0 and (t.year % 100 ~= 0 or t.year % 400 == 0)
  local last = leap and 366 or 365
  if week == 53 and t.yday - weekday + 3 > last then return 1, t.year + 1 end
  return week, t.year
end

local codes = {
  a = function(t) return days[t.wday]:sub(1, 3) end,
  A = function(t) return days[t.wday] end,
  b = function(t) return months[t.month]:sub(1, 3) end,
  B = function(t) return months[t.month] end,
  C = function(t) return two(t.year // 100) end,
  d = function(t) return two(t.day) end,
  e = function(t) return blank(t.day) end,
  f = function(t) return ("%06d"):format(t.microsecond or 0) end,
  G = function(t) return ("%d"):format(select(2, iso_week(t))) end,
  g = function(t) return two(select(2, iso_week(t)) % 100) end,
  H = function(t) return two(t.hour) end,
  I = function(t) return two(hour12(t)) end,
  j = function(t) return ("%03d"):format(t.yday) end,
  k = function(t) return blank(t.hour) end,
  l = function(t) return blank(hour12(t)) end,
  m = function(t) return two(t.month) end,
  M = function(t) return two(t.min) end,
  n = function() return "\n" end,
  p = function(t) return t.hour < 12 and "AM" or "PM" end,
  P = function(t) return t.hour < 12 and "am" or "pm" end,
  S = function(t) return two(t.sec) end,
  s = function(t) return ("%d"):format(os.time(t)) end,
  t = function() return "\t" end,
  u = function(t) return ("%d"):format((t.wday + 5) % 7 + 1) end,
  U = function(t) return two((t.yday + 6 - (t.wday - 1)) // 7) end,
  V = function(t) return two((iso_week(t))) end,
  w = function(t) return ("%d"):format(t.wday - 1) end,
  W = function(t) return two((t.yday + 6 - (t.wday + 5) % 7) // 7) end,
  y = function(t) return two(t.year % 100) end,
  Y = function(t) return ("%d"):format(t.year) end,
  z = function() return "" end, -- a local time without a zone, as Python's datetime.now()
  Z = function() return "" end,
  ["%"] = function() return "%" end,
}

local compound = {
  c = "%a %b %e %H:%M:%S %Y", D = "%m/%d/%y", F = "%Y-%m-%d", h = "%b", R = "%H:%M", r = "%I:%M:%S %p",
  T = "%H:%M:%S", X = "%H:%M:%S", x = "%m/%d/%y",
}

local without_zero = {}
for code in ("dHIjmMSyUW"):gmatch "." do without_zero[code] = true end

---@param format string
---@param t table  fields as os.date "*t" gives them, and microsecond
---@return string
function M.strftime(format, t)
  return (format:gsub("%%(%-?)(.?)", function(minus, code)
    if compound[code] and minus == "" then return M.strftime(compound[code], t) end
    local f = codes[code]
    if not f then return nil end
    local s = f(t)
    return minus == "-" and without_zero[code] and s:gsub("^0+(%d)", "%1") or s
  end))
end

---The clock's fields: of now (nil), of seconds since 1970, or of local time written "2025-07-04T09:05:03".
---@param now nil|number|string
---@return table
function M.fields(now)
  if type(now) ~= "string" then return os.date("*t", now and math.floor(now)) --[[@as table]] end
  local year, month, day, hour, min, sec, fraction =
    now:match "^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)%.?(%d*)$"
  if not year then errors.raise("ValueError", "'now' must be like 2025-07-04T09:05:03, not %s", now) end
  local t = os.date("*t", os.time { year = year, month = month, day = day, hour = 12 }) --[[@as table]]
  t.hour, t.min, t.sec = math.tointeger(tonumber(hour)), math.tointeger(tonumber(min)), math.tointeger(tonumber(sec))
  t.microsecond = math.tointeger(tonumber((fraction .. "000000"):sub(1, 6)))
  return t
end

return M
