-- The filters of templates: what may follow `|`. Each is fn(value, args, kwargs). Those on lists are in sequences.lua.
local values = require "sqlune.jinja.values"
local operators = require "sqlune.jinja.operators"
local access = require "sqlune.jinja.access"
local methods = require "sqlune.jinja.methods"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local format = require "sqlune.jinja.format"
local signature = require "sqlune.jinja.signature"
local errors = require "sqlune.jinja.errors"
local lpeg = require "lpeg"

local M = {}
local kind, raise, str = values.kind, errors.raise, print.str
local integer, width_of, as_string, truth = signature.integer, signature.width, signature.text, values.truth

local function filter(name, arguments, fn)
  M[name] = signature.define(name, arguments, fn)
end

-- A filter from text to text; markup stays markup.
local function text_filter(name, arguments, fn)
  filter(name, arguments, function(v, ...)
    local result = fn(str(v), ...)
    return kind(v) == "markup" and type(result) == "string" and values.markup(result) or result
  end)
end

-- Text ----------------------------------------------------------------------------------------------------------

text_filter("upper", "", text.upper)
text_filter("lower", "", text.lower)
text_filter("capitalize", "", text.capitalize)
text_filter("trim", "chars?", function(s, chars) return text.strip(s, as_string(chars)) end)
text_filter("replace", "old, new, count?", function(s, old, new, count)
  return text.replace(s, str(old), str(new), integer(count))
end)
text_filter("center", "width?", function(s, width) return methods.center(s, width_of(width, 80), " ") end)

local beginning = lpeg.S "-([{<" + text.space
local title_parts = lpeg.Ct((lpeg.C(beginning ^ 1) + lpeg.C((1 - beginning) ^ 1)) ^ 0)

-- Words begin after white space, "-" and opening brackets only: "it's" becomes "It's".
text_filter("title", "", function(s)
  local parts = lpeg.match(title_parts, s)
  for i, part in ipairs(parts) do
    local first = part:match(utf8.charpattern)
    parts[i] = text.upper(first) .. text.lower(part:sub(#first + 1))
  end
  return table.concat(parts)
end)

filter("string", "", function(v) return kind(v) == "markup" and v or str(v) end)
filter("escape", "", function(v) return values.markup(operators.escape(v)) end)
M.e = M.escape
filter("forceescape", "", function(v) return values.markup(operators.escape(str(v))) end)
filter("safe", "", function(v) return values.markup(str(v)) end)

local entities = {
  amp = "&", lt = "<", gt = ">", quot = '"', apos = "'", ["#34"] = '"', ["#39"] = "'", nbsp = "\u{a0}",
}

filter("striptags", "", function(v)
  local s = str(v):gsub("<!%-%-.-%-%->", ""):gsub("<[^>]*>", "")
  s = table.concat(text.split(s), " ")
  return (s:gsub("&(#?%w+);", entities))
end)

local function only_text(v, what)
  if values.as_text(v) then return end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "%s needs text, not %s", what, values.type_name(v))
end

local indented = signature.define("indent", "width?, first?, blank?", function(s, width, first, blank)
  local margin = width and values.as_text(width) or (" "):rep(width_of(width, 4))
  local lines = text.splitlines(s .. "\n")
  for i = 2, #lines do
    if lines[i] ~= "" or blank and truth(blank) then lines[i] = margin .. lines[i] end
  end
  return (first and truth(first) and margin or "") .. table.concat(lines, "\n")
end)

function M.indent(v, args, kwargs)
  only_text(v, "indent")
  local done = indented(str(v), args, kwargs)
  return kind(v) == "markup" and values.markup(done) or done
end

filter("truncate", "length?, killwords?, end?, leeway?", function(v, length, kill, tail, leeway)
  length, leeway, tail = integer(length, 255), integer(leeway, 5), as_string(tail) or "..."
  local n = values.length(v)
  if n and n <= length + leeway then return v end
  only_text(v, "truncate")
  local s = values.as_text(v)
  if length < text.len(tail) then raise("AssertionError", "expected length >= %d", text.len(tail)) end
  local cut = text.sub(s, 0, math.min(n, length - text.len(tail)))
  if not (kill and truth(kill)) then cut = text.rsplit(cut, " ", 1)[1] end
  return cut .. tail
end)

filter("wordcount", "", function(v)
  local n = 0
  for run in str(v):gmatch "[%w_\x80-\xff]+" do
    local inside = false
    for c in run:gmatch(utf8.charpattern) do
      local word = c == "_" or text.isalnum(c)
      if word and not inside then n = n + 1 end
      inside = word
    end
  end
  return n
end)

-- Words, blanks and the parts of words up to a hyphen between letters.
local function chunks_of(line, at_hyphens)
  local out = {}
  for blank, word in line:gmatch "(%s*)(%S*)" do
    if blank ~= "" then out[#out + 1] = blank end
    if at_hyphens then word = word:gsub("(%a%-)%f[%a]", "%1\0") end
    for part in word:gmatch "[^\0]+" do out[#out + 1] = part end
  end
  return out
end

-- Lines of at most `width` characters, as Python's textwrap makes them; longer words are cut if `cut_words`.
local function wrapped(line, width, cut_words, at_hyphens)
  local chunks, lines, at = chunks_of(line, at_hyphens), {}, 1
  while chunks[at] do
    local current, length = {}, 0
    if #lines > 0 and not chunks[at]:find "%S" then at = at + 1 end
    while chunks[at] and length + text.len(chunks[at]) <= width do
      current[#current + 1], length, at = chunks[at], length + text.len(chunks[at]), at + 1
    end
    if chunks[at] and text.len(chunks[at]) > width then
      local room = cut_words and width - length or #current == 0 and math.huge or 0
      local n = text.len(chunks[at])
      current[#current + 1] = text.sub(chunks[at], 0, math.min(room, n))
      if room >= n then at = at + 1 else chunks[at] = text.sub(chunks[at], room, n) end
    end
    if current[1] and not current[#current]:find "%S" then current[#current] = nil end
    if current[1] then lines[#lines + 1] = table.concat(current) end
  end
  return lines
end

filter("wordwrap", "width?, break_long_words=, wrapstring?, break_on_hyphens=",
  function(v, width, cut_words, joint, at_hyphens)
    joint, width = as_string(joint) or "\n", integer(width, 79)
    if width < 1 then raise("ValueError", "invalid width %d (must be > 0)", width) end
    local lines = text.splitlines(str(v))
    for i, line in ipairs(lines) do
      local parts = wrapped(line, width, cut_words == nil or truth(cut_words), at_hyphens == nil or truth(at_hyphens))
      lines[i] = table.concat(parts, joint)
    end
    return table.concat(lines, joint)
  end)

local function url_quoted(v, for_query)
  local s = str(v):gsub(for_query and "[^%w_.~-]" or "[^%w_.~/-]", function(c) return ("%%%02X"):format(c:byte()) end)
  return for_query and s:gsub("%%20", "+") or s
end

filter("urlencode", "", function(v)
  local k = kind(v)
  local items = k == "dict" and values.dict_items(v) or k ~= "str" and k ~= "markup" and values.items(v)
  if not items then return (url_quoted(v)) end
  local out = {}
  for i, pair in ipairs(items) do
    local two = values.iterate(pair)
    if #two ~= 2 then raise("ValueError", "urlencode needs pairs, not %d parts", #two) end
    out[i] = url_quoted(two[1], true) .. "=" .. url_quoted(two[2], true)
  end
  return table.concat(out, "&")
end)

function M.format(v, args, kwargs)
  if #args > 0 and kwargs then
    raise("FilterArgumentError", "can't handle positional and keyword arguments at the same time")
  end
  local markup = kind(v) == "markup"
  local done = format.percent(str(v), kwargs or values.tuple(args), markup and operators.escape)
  return markup and values.markup(done) or done
end

-- Numbers -------------------------------------------------------------------------------------------------------

filter("abs", "", function(v)
  local n = values.as_number(v)
  if n then return n < 0 and operators.neg(n) or n + 0 end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "bad operand type for abs(): '%s'", values.type_name(v))
end)

-- The integer that a text spells in a base from 2 to 36, or nil: blanks around, a sign, "0x" and "_" between digits.
local function parse_integer(s, base)
  local sign, body = text.strip(s):lower():match "^([+-]?)(.*)$"
  local prefixes = { ["0x"] = 16, ["0o"] = 8, ["0b"] = 2 }
  local of_prefix = prefixes[body:sub(1, 2)]
  if of_prefix and (base == of_prefix or base == 0) then
    body, base = body:sub(3):gsub("^_", ""), of_prefix
  end
  if base == 0 then base = 10 end
  if not body:match "^%w[%w_]*$" or body:find "__" or body:find "_$" then return nil end
  body = body:gsub("_", ""):gsub("^0+(.)", "%1")
  if #body > 64 then return nil end
  local n = 0
  for digit in body:gmatch "." do
    local d = tonumber(digit, 36)
    if d >= base then return nil end
    n = operators.add(operators.mul(n, base), d)
  end
  return sign == "-" and -n or n
end

local function parse_float(s)
  s = text.strip(s):lower():gsub("(%d)_(%d)", "%1%2")
  local word = s:gsub("^[+-]", "")
  if word == "inf" or word == "infinity" then return s:sub(1, 1) == "-" and -math.huge or math.huge end
  if word == "nan" then return 0 / 0 end
  if not word:match "^%.?%d" or word:find "x" then return nil end
  local n = tonumber(s)
  return n and n * 1.0 -- not + 0.0, which would lose the sign of -0.0
end

local function truncated(x)
  if x ~= x or x == math.huge or x == -math.huge then return nil end
  return math.tointeger(x < 0 and math.ceil(x) or math.floor(x))
end

filter("int", "default=, base?", function(v, default, base)
  if default == nil then default = 0 end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  local s = values.as_text(v)
  if s then
    local n = parse_integer(s, integer(base, 10))
    if n then return n end
    local x = parse_float(s)
    return x and truncated(x) or default
  end
  local n = values.as_number(v)
  return n and truncated(n) or default
end)

filter("float", "default=", function(v, default)
  if default == nil then default = 0.0 end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  local s, n = values.as_text(v), values.as_number(v)
  if s then return parse_float(s) or default end
  return n and n + 0.0 or default
end)

-- Rounds half to even at a power of ten, as Python's round does.
local function rounded(v, precision)
  if math.type(v) == "integer" then
    if precision >= 0 then return v end
    local unit = math.tointeger(10 ^ -precision) or math.maxinteger
    local low = v // unit * unit
    local rest = v - low
    local up = rest * 2 > unit or rest * 2 == unit and low // unit % 2 == 1
    return up and low + unit or low
  end
  if v ~= v or v == math.huge or v == -math.huge then return v end
  if precision >= 0 then return tonumber(("%." .. math.min(precision, 99) .. "f"):format(v)) + 0.0 end
  local unit = 10.0 ^ -precision
  return tonumber(("%.0f"):format(v / unit)) * unit
end

filter("round", "precision?, method?", function(v, precision, method)
  local n = values.as_number(v)
  if not n then
    if kind(v) == "undefined" then values.fail_undefined(v) end
    raise("TypeError", "type %s doesn't define __round__ method", values.type_name(v))
  end
  precision, method = integer(precision, 0), as_string(method) or "common"
  if method == "common" then return rounded(n, precision) end
  if method ~= "ceil" and method ~= "floor" then
    raise("FilterArgumentError", "method must be common, ceil or floor")
  end
  local unit = 10.0 ^ precision
  return (method == "ceil" and math.ceil(n * unit) or math.floor(n * unit)) / unit
end)

filter("filesizeformat", "binary?", function(v, binary)
  local bytes = M.float(v, {})
  local base = binary and truth(binary) and 1024 or 1000
  if bytes == 1 then return "1 Byte" end
  if bytes < base then return ("%d Bytes"):format(math.tointeger(bytes // 1)) end
  local units = base == 1024 and { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" }
    or { "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB" }
  for i, unit in ipairs(units) do
    if bytes < base ^ (i + 1) or i == #units then return ("%.1f %s"):format(base * bytes / base ^ (i + 1), unit) end
  end
end)

-- Any value -----------------------------------------------------------------------------------------------------

filter("default", "default_value=, boolean?", function(v, default, boolean)
  if kind(v) == "undefined" or boolean ~= nil and truth(boolean) and not truth(v) then
    return default == nil and "" or default
  end
  return v
end)
M.d = M.default

filter("attr", "name", function(v, name)
  name = as_string(name)
  if kind(v) == "undefined" then values.fail_undefined(v) end
  if kind(v) == "dict" and not methods.by_kind.dict[name] then
    return values.undefined(("'dict object' has no attribute %s"):format(print.repr(name)))
  end
  return access.attribute(v, name)
end)

filter("pprint", "", print.repr)

local function json_indent(v)
  if v == nil then return nil end
  return values.as_text(v) or (" "):rep(width_of(v))
end

filter("tojson", "ensure_ascii?, indent?, separators?, sort_keys?", function(v, ascii, indent, separators, sort_keys)
  local pair = separators and values.iterate(separators)
  return print.json(v, {
    ascii = ascii ~= nil and truth(ascii),
    indent = json_indent(indent),
    item = pair and as_string(pair[1]) or indent and "," or ", ",
    colon = pair and as_string(pair[2]) or ": ",
    sort_keys = sort_keys ~= nil and truth(sort_keys),
  })
end)

for name, fn in pairs(require "sqlune.jinja.sequences") do M[name] = fn end

return M
