-- How values print: Python's str and repr, and json.dumps.
local values = require "sqlune.jinja.values"
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local kind, raise = values.kind, errors.raise
local concat = table.concat

---Python's repr of a float: the shortest digits that read back, exponent form below 1e-4 and from 1e16.
function M.float(x)
  if x ~= x then return "nan" end
  if x == math.huge then return "inf" end
  if x == -math.huge then return "-inf" end
  if x == 0 then return 1 / x < 0 and "-0.0" or "0.0" end
  local s
  for precision = math.abs(x) < 2.3e-308 and 1 or 15, 17 do -- numbers near zero have fewer digits
    s = ("%." .. precision .. "g"):format(x)
    if tonumber(s) == x then break end
  end
  local sign, whole, fraction, exponent = s:match "^(%-?)(%d+)%.?(%d*)e?([+-]?%d*)$"
  local digits = whole .. fraction
  local point = #whole + (tonumber(exponent) or 0) -- digits before the point
  local lead = digits:match "^0*"
  digits, point = digits:sub(#lead + 1):gsub("0+$", ""), point - #lead
  if point > 16 or point <= -4 then
    local mantissa = digits:sub(1, 1) .. (#digits > 1 and "." .. digits:sub(2) or "")
    return ("%s%se%s%02d"):format(sign, mantissa, point > 0 and "+" or "-", math.abs(point - 1))
  end
  if point <= 0 then return sign .. "0." .. ("0"):rep(-point) .. digits end
  if #digits <= point then return sign .. digits .. ("0"):rep(point - #digits) .. ".0" end
  return sign .. digits:sub(1, point) .. "." .. digits:sub(point + 1)
end

-- repr ----------------------------------------------------------------------------------------------------------

local short = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\" }

local function escape_char(c)
  if short[c] then return short[c] end
  local code = utf8.codepoint(c, 1, 1, true)
  if text.is_printable(code) then return c end
  if code < 0x100 then return ("\\x%02x"):format(code) end
  return (code < 0x10000 and "\\u%04x" or "\\U%08x"):format(code)
end

local function repr_text(s)
  local quote = s:find("'", 1, true) and not s:find('"', 1, true) and '"' or "'"
  if s:find "[^\x20-\x7e]" or s:find("\\", 1, true) then s = s:gsub(utf8.charpattern, escape_char) end
  if quote == "'" then s = s:gsub("'", "\\'") end
  return quote .. s .. quote
end

local reprs = {}

local function repr(v)
  local f = reprs[kind(v)]
  return f and f(v) or ("<%s object>"):format(values.type_name(v))
end
M.repr = repr

local function repr_items(items)
  local out = {}
  for i, item in ipairs(items) do out[i] = repr(item) end
  return concat(out, ", ")
end

reprs.str = repr_text
reprs.int = function(v) return ("%d"):format(v) end
reprs.float = M.float
reprs.bool = function(v) return v and "True" or "False" end
reprs.none = function() return "None" end
reprs.undefined = function() return "Undefined" end
reprs.list = function(v) return "[" .. repr_items(v) .. "]" end
reprs.tuple = function(v) return "(" .. repr_items(v) .. (#v == 1 and ",)" or ")") end
reprs.markup = function(v) return "Markup(" .. repr_text(v.text) .. ")" end
reprs.view = function(v) return v.python .. "([" .. repr_items(v.items) .. "])" end
reprs.namespace = function(v) return "<Namespace " .. repr(v.dict) .. ">" end
reprs.range = function(v)
  if v.step == 1 then return ("range(%d, %d)"):format(v.first, v.stop) end
  return ("range(%d, %d, %d)"):format(v.first, v.stop, v.step)
end
reprs.dict = function(v)
  local out = {}
  for i, key in ipairs(v.keys) do out[i] = repr(key) .. ": " .. repr(values.dict_get(v, key)) end
  return "{" .. concat(out, ", ") .. "}"
end
reprs["function"] = function(v) return ("<function %s>"):format(v.name) end
reprs.macro = function(v) return ("<Macro %s>"):format(v.name and repr_text(v.name) or "anonymous") end
reprs.loop = function(v) return ("<LoopContext %d/%d>"):format(v.index, v.n) end

---Python's str(v): what a template prints.
function M.str(v)
  if type(v) == "string" then return v end
  local k = kind(v)
  if k == "int" then return ("%d"):format(v) end
  if k == "undefined" then return "" end
  if k == "markup" then return v.text end
  return repr(v)
end

-- json.dumps ----------------------------------------------------------------------------------------------------

local json_short = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f",
}

local function json_control(c)
  return json_short[c] or ("\\u%04x"):format(c:byte())
end

local function json_wide(c)
  local code = utf8.codepoint(c, 1, 1, true)
  if code < 0x10000 then return ("\\u%04x"):format(code) end
  code = code - 0x10000
  return ("\\u%04x\\u%04x"):format(0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
end

local function json_text(s, ascii)
  s = s:gsub('[%c"\\]', function(c) return c == "\x7f" and c or json_control(c) end)
  if ascii and s:find "[\x80-\xff]" then
    s = s:gsub("[\xc2-\xfd][\x80-\xbf]*", json_wide)
  end
  return '"' .. s .. '"'
end

local function json_float(x)
  if x ~= x then return "NaN" end
  if x == math.huge then return "Infinity" end
  if x == -math.huge then return "-Infinity" end
  return M.float(x)
end

local function json_key(key)
  local k = kind(key)
  if k == "str" then return key end
  if k == "markup" then return key.text end
  if k == "int" then return ("%d"):format(key) end
  if k == "float" then return json_float(key) end
  if k == "bool" then return tostring(key) end
  if k == "none" then return "null" end
  raise("TypeError", "keys must be str, int, float, bool or None, not %s", values.type_name(key))
end

local json_value

-- Writes parts between brackets; each part is what write(i) returns.
local function json_container(open, close, n, o, depth, write)
  if n == 0 then return open .. close end
  local inner = o.indent and "\n" .. o.indent:rep(depth + 1) or ""
  local outer = o.indent and "\n" .. o.indent:rep(depth) or ""
  local out = {}
  for i = 1, n do out[i] = write(i) end
  return open .. inner .. concat(out, o.item .. inner) .. outer .. close
end

local function sorted(dict)
  local keys = table.move(dict.keys, 1, #dict.keys, 1, {})
  for _, key in ipairs(keys) do
    if type(key) ~= type(keys[1]) then
      raise("TypeError", "'<' not supported between instances of keys of different types")
    end
  end
  table.sort(keys)
  return keys
end

local function json_dict(v, o, depth)
  local keys = o.sort_keys and sorted(v) or v.keys
  return json_container("{", "}", #keys, o, depth, function(i)
    local value = json_value(values.dict_get(v, keys[i]), o, depth + 1)
    return json_text(json_key(keys[i]), o.ascii) .. o.colon .. value
  end)
end

function json_value(v, o, depth)
  local k = kind(v)
  if k == "str" then return json_text(v, o.ascii) end
  if k == "int" then return ("%d"):format(v) end
  if k == "float" then return json_float(v) end
  if k == "bool" then return v and "true" or "false" end
  if k == "none" then return "null" end
  if k == "markup" then return json_text(v.text, o.ascii) end
  if k == "dict" then return json_dict(v, o, depth) end
  if k == "list" or k == "tuple" then
    return json_container("[", "]", #v, o, depth, function(i) return json_value(v[i], o, depth + 1) end)
  end
  raise("TypeError", "Object of type %s is not JSON serializable", values.type_name(v))
end

---@class sqlune.jinja.JsonOpts
---@field ascii boolean     escape everything beyond ASCII
---@field indent string?    one level of indentation; nil: all on one line
---@field item string       between items: ", " or ","
---@field colon string      after a key: ": "
---@field sort_keys boolean

---Python's json.dumps.
---@param o sqlune.jinja.JsonOpts
function M.json(v, o)
  return json_value(v, o, 0)
end

return M
