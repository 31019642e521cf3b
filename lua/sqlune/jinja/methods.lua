-- The methods that templates may call on text, lists, dicts, tuples and ranges. Those that change a value are refused.
local values = require "sqlune.jinja.values"
local operators = require "sqlune.jinja.operators"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local format = require "sqlune.jinja.format"
local signature = require "sqlune.jinja.signature"
local errors = require "sqlune.jinja.errors"

local M = {}
local raise, list, tuple = errors.raise, values.list, values.tuple
local integer, width_of, as_string = signature.integer, signature.width, signature.text

-- Text ----------------------------------------------------------------------------------------------------------

local str = {}

local function method(of, name, arguments, fn)
  of[name] = signature.define(name, arguments, fn)
end

for _, name in ipairs { "strip", "lstrip", "rstrip" } do
  local strip = text[name]
  method(str, name, "chars?", function(s, chars) return strip(s, as_string(chars)) end)
end
for _, name in ipairs { "upper", "lower", "title", "capitalize", "swapcase" } do
  method(str, name, "", text[name])
end
method(str, "casefold", "", function(s) return text.lower(text.replace(s, "ß", "ss")) end)
for _, name in ipairs {
  "isdigit", "isdecimal", "isnumeric", "isalpha", "isalnum", "isspace", "isupper", "islower", "istitle",
} do
  method(str, name, "", text[name])
end
method(str, "isascii", "", text.is_ascii)

method(str, "split", "sep?, maxsplit?", function(s, sep, limit)
  return list(text.split(s, as_string(sep), integer(limit)))
end)
method(str, "rsplit", "sep?, maxsplit?", function(s, sep, limit)
  return list(text.rsplit(s, as_string(sep), integer(limit)))
end)
method(str, "splitlines", "keepends?", function(s, keep)
  return list(text.splitlines(s, keep ~= nil and values.truth(keep)))
end)
method(str, "replace", "old, new, count?", function(s, old, new, count)
  return text.replace(s, as_string(old), as_string(new), integer(count))
end)

-- A Python index pair as 0-based bounds inside 0 … n.
local function bounds(first, last, n)
  first, last = integer(first, 0), integer(last, n)
  if first < 0 then first = math.max(first + n, 0) end
  if last < 0 then last = math.max(last + n, 0) end
  return first, math.min(last, n)
end

local function part_of(s, first, last)
  if first == nil and last == nil then return s, 0 end
  local n = text.len(s)
  first, last = bounds(first, last, n)
  if first > n then return nil, 0 end
  return text.sub(s, first, last), first
end

local function affix(name, fits)
  method(str, name, "affix, start?, stop?", function(s, wanted, first, last)
    local part = part_of(s, first, last)
    if not part then return false end
    if values.kind(wanted) ~= "tuple" then return fits(part, as_string(wanted)) end
    for _, one in ipairs(wanted) do
      if fits(part, as_string(one)) then return true end
    end
    return false
  end)
end
affix("startswith", function(s, prefix) return s:sub(1, #prefix) == prefix end)
affix("endswith", function(s, suffix) return suffix == "" or s:sub(-#suffix) == suffix end)

local function search(name, find, must_find)
  method(str, name, "sub, start?, stop?", function(s, sub, first, last)
    local part, offset = part_of(s, first, last)
    local at = part and find(part, as_string(sub))
    if at then return offset + text.len(part:sub(1, at - 1)) end
    if must_find then raise("ValueError", "substring not found") end
    return -1
  end)
end
local function find_first(s, sub) return (s:find(sub, 1, true)) end
search("find", find_first, false)
search("index", find_first, true)
search("rfind", text.rfind_byte, false)
search("rindex", text.rfind_byte, true)

method(str, "count", "sub, start?, stop?", function(s, sub, first, last)
  local part = part_of(s, first, last)
  if not part then return 0 end
  sub = as_string(sub)
  if sub == "" then return text.len(part) + 1 end
  return #text.split(part, sub) - 1
end)
method(str, "join", "items", function(s, items)
  local out = {}
  for i, item in ipairs(values.iterate(items)) do
    out[i] = values.as_text(item)
    if not out[i] then
      raise("TypeError", "sequence item %d: expected str instance, %s found", i - 1, values.type_name(item))
    end
  end
  return table.concat(out, s)
end)
method(str, "partition", "sep", function(s, sep)
  if as_string(sep) == "" then raise("ValueError", "empty separator") end
  local from, to = s:find(as_string(sep), 1, true)
  if not from then return tuple { s, "", "" } end
  return tuple { s:sub(1, from - 1), as_string(sep), s:sub(to + 1) }
end)
method(str, "rpartition", "sep", function(s, sep)
  sep = as_string(sep)
  if sep == "" then raise("ValueError", "empty separator") end
  local from = text.rfind_byte(s, sep)
  if not from then return tuple { "", "", s } end
  return tuple { s:sub(1, from - 1), sep, s:sub(from + #sep) }
end)
method(str, "removeprefix", "prefix", function(s, prefix)
  prefix = as_string(prefix)
  return s:sub(1, #prefix) == prefix and s:sub(#prefix + 1) or s
end)
method(str, "removesuffix", "suffix", function(s, suffix)
  suffix = as_string(suffix)
  return suffix ~= "" and s:sub(-#suffix) == suffix and s:sub(1, -#suffix - 1) or s
end)

for name, align in pairs { ljust = "<", rjust = ">", center = "^" } do
  method(str, name, "width, fillchar?", function(s, width, fill)
    fill = as_string(fill) or " "
    if text.len(fill) ~= 1 then raise("TypeError", "The fill character must be exactly one character long") end
    if align == "^" then return M.center(s, width_of(width), fill) end
    return format.padded(s, width_of(width), align, fill)
  end)
end
method(str, "zfill", "width", function(s, width)
  local sign, rest = s:match "^([+-]?)(.*)$"
  return sign .. format.padded(rest, width_of(width) - #sign, ">", "0")
end)
method(str, "expandtabs", "tabsize?", function(s, size)
  size = width_of(size, 8)
  local out, column = {}, 0
  for _, c in ipairs(text.chars(s)) do
    if c == "\t" then
      local gap = size > 0 and size - column % size or 0
      c, column = (" "):rep(gap), column + gap
    else
      column = (c == "\n" or c == "\r") and 0 or column + 1
    end
    out[#out + 1] = c
  end
  return table.concat(out)
end)

---str.center: an odd gap's extra blank goes left if the width is odd.
function M.center(s, width, fill)
  local gap = width - text.len(s)
  if gap <= 0 then return s end
  local left = gap // 2 + (gap & width & 1)
  return fill:rep(left) .. s .. fill:rep(gap - left)
end

function str.format(s, args, kwargs)
  return format.braces(s, args, kwargs, require "sqlune.jinja.access")
end

-- Lists, tuples, ranges, dicts ----------------------------------------------------------------------------------

local sequence = {}

method(sequence, "index", "value, start?, stop?", function(v, wanted, first, last)
  local items = values.items(v)
  first, last = bounds(first, last, #items)
  for i = first + 1, last do
    if operators.eq(items[i], wanted) then return i - 1 end
  end
  raise("ValueError", "%s is not in %s", print.repr(wanted), values.type_name(v))
end)
method(sequence, "count", "value", function(v, wanted)
  local n = 0
  for _, item in ipairs(values.items(v)) do
    if operators.eq(item, wanted) then n = n + 1 end
  end
  return n
end)

local list_methods = setmetatable({}, { __index = sequence })
method(list_methods, "copy", "", function(v) return list(table.move(v, 1, #v, 1, {})) end)

local dict = {}
method(dict, "items", "", function(v) return values.view("dict_items", values.dict_items(v)) end)
method(dict, "keys", "", function(v) return values.view("dict_keys", v.keys) end)
method(dict, "values", "", function(v) return values.view("dict_values", values.dict_values(v)) end)
method(dict, "get", "key, default=", function(v, key, default)
  local found = values.dict_get(v, key)
  if found ~= nil then return found end
  return default == nil and values.none or default
end)
method(dict, "copy", "", function(v)
  local copy = values.dict()
  for _, key in ipairs(v.keys) do values.dict_set(copy, key, values.dict_get(v, key)) end
  return copy
end)

local float = {}
method(float, "is_integer", "", function(v) return v == math.floor(v) and v - v == 0 end)

---Methods by kind, then name: fn(value, args, kwargs).
M.by_kind = {
  str = str, list = list_methods, tuple = sequence, range = sequence, dict = dict, float = float,
}

local function set(names)
  local out = {}
  for name in names:gmatch "%a+" do out[name] = true end
  return out
end

---Methods that exist in Python but change the value: their use is a SecurityError.
M.refused = {
  list = set "append clear extend insert pop remove reverse sort",
  dict = set "clear pop popitem setdefault update",
}

return M
