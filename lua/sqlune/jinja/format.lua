-- Python's two ways to format text: "%d of %s" % args and "{} of {x!r:>5}".format(args).
local values = require "sqlune.jinja.values"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local kind, raise, type_name = values.kind, errors.raise, values.type_name

local max_width <const>, max_precision <const> = 100000, 99

local function checked(width)
  width = tonumber(width) or 0
  if width > max_width then raise("ValueError", "a format wider than %d characters", max_width) end
  return width
end

-- s filled to a width; align is one of < > ^ and = (after the sign).
local function padded(s, width, align, fill)
  local gap = width - text.len(s)
  if gap <= 0 then return s end
  if align == "<" then return s .. fill:rep(gap) end
  if align == "^" then return fill:rep(gap // 2) .. s .. fill:rep(gap - gap // 2) end
  if align == "=" then
    local sign, rest = s:match "^([+ -]?0?[xXobB]?)(.*)$"
    if not sign:find "[xXobB]" then sign, rest = s:match "^([+ -]?)(.*)$" end
    return sign .. fill:rep(gap) .. rest
  end
  return fill:rep(gap) .. s
end

local function to_base(n, bits, digits)
  if n == 0 then return "0" end
  local out, mask = {}, (1 << bits) - 1
  while n ~= 0 do
    table.insert(out, 1, digits:sub((n & mask) + 1, (n & mask) + 1))
    n = n >> bits
  end
  return table.concat(out)
end

local bases = { x = { 4, "0x" }, X = { 4, "0X" }, o = { 3, "0o" }, b = { 1, "0b" } }

local function whole_number(v, code)
  local n = values.as_int(v)
  if n then return n end
  if kind(v) == "float" and code ~= "x" and code ~= "X" and code ~= "o" then
    n = math.tointeger(v < 0 and math.ceil(v) or math.floor(v))
    if n then return n end
  end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "%%%s format: a number is required, not %s", code, type_name(v))
end

local function real_number(v, what)
  local n = values.as_number(v)
  if n then return n + 0.0 end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "%s must be real number, not %s", what, type_name(v))
end

-- The digits of a number without its sign. o: flags of a specification.
local function number_digits(v, code, precision, alternate)
  local base = bases[code]
  if code == "d" or base then
    local n = whole_number(v, code)
    local digits = base and to_base(math.abs(n), base[1], code == "X" and "0123456789ABCDEF" or "0123456789abcdef")
      or ("%d"):format(n):gsub("^-", "")
    return (alternate and base and base[2] or "") .. digits, n < 0
  end
  local x = real_number(v, "must")
  local negative = x < 0 or x == 0 and 1 / x < 0
  if x ~= x or x == math.huge or x == -math.huge then
    local word = x ~= x and "nan" or "inf"
    return code:find "%u" and word:upper() or word, negative
  end
  if precision and precision > max_precision then
    raise("ValueError", "a precision of more than %d digits", max_precision)
  end
  local form = "%" .. (alternate and "#" or "") .. "." .. (precision or 6) .. code
  return form:format(math.abs(x)), negative
end

local function sign_of(negative, flag)
  if negative then return "-" end
  return flag == "+" and "+" or flag == " " and " " or ""
end

-- printf style --------------------------------------------------------------------------------------------------

local with_items = { dict = true, list = true, range = true, undefined = true }

-- Gives the arguments one by one; a dict gives by name instead.
local function argument_source(args)
  local list = kind(args) == "tuple" and args or { args }
  local at, named = 0, false
  local function by_name(key)
    named = true
    if kind(args) ~= "dict" then raise("TypeError", "format requires a mapping") end
    local v = values.dict_get(args, key)
    if v == nil then raise("KeyError", "%s", print.repr(key)) end
    return v
  end
  local function by_order()
    at = at + 1
    if list[at] == nil then raise("TypeError", "not enough arguments for format string") end
    return list[at]
  end
  local function finish()
    if not named and at < #list and not with_items[kind(args)] then
      raise("TypeError", "not all arguments converted during string formatting")
    end
  end
  return by_name, by_order, finish
end

local function percent_value(v, code, flags, precision, show)
  if code == "s" or code == "r" or code == "a" then
    local s = code == "s" and show(v) or print.repr(v)
    return precision and text.sub(s, 0, math.min(precision, text.len(s))) or s
  end
  if code == "c" then
    local n = values.as_int(v)
    if n and (n < 0 or n > 0x10FFFF) then raise("OverflowError", "%%c arg not in range(0x110000)") end
    return n and utf8.char(n) or print.str(v)
  end
  if code == "i" or code == "u" then code = "d" end
  if not ("dxXoeEfFgG"):find(code, 1, true) then
    raise("ValueError", "unsupported format character '%s'", code)
  end
  local digits, negative = number_digits(v, code == "F" and "f" or code, precision, flags:find("#", 1, true) ~= nil)
  return sign_of(negative, flags:match "[+]" or flags:match " ") .. digits
end

---Python's `format % args`. `escape` (for markup) turns values of %s to text, str if absent.
---@param format string
---@return string
function M.percent(format, args, escape)
  local by_name, by_order, finish = argument_source(args)
  local out, at = {}, 1
  while true do
    local from = format:find("%", at, true)
    out[#out + 1] = format:sub(at, (from or 0) - 1)
    if not from then break end
    local key, after = format:match("^%%%(([^)]*)%)()", from)
    local flags, width, precision, code, stop = format:match("^([#0 +-]*)(%*?%d*)%.?(%*?%d*)[hlL]?(.)()",
      after or from + 1)
    if not code then raise("ValueError", "incomplete format") end
    at = stop
    if code == "%" then
      out[#out + 1] = "%"
    else
      if width == "*" then width = by_order() end
      if precision == "*" then precision = by_order() end
      local has_point = format:sub(after or from + 1, stop - 1):find(".", 1, true)
      precision = has_point and checked(precision) or nil
      local v
      if key then v = by_name(key) else v = by_order() end
      local s = percent_value(v, code, flags, precision, escape or print.str)
      local zero = flags:find("0", 1, true) and not code:find "[srac]"
      local align = flags:find("-", 1, true) and "<" or zero and "=" or ">"
      out[#out + 1] = padded(s, checked(width), align, align == "=" and "0" or " ")
    end
  end
  finish()
  return table.concat(out)
end

-- str.format ----------------------------------------------------------------------------------------------------

local function grouped(digits, mark)
  local whole, rest = digits:match "^(%d+)(.*)$"
  whole = whole:reverse():gsub("%d%d%d", "%0" .. mark):reverse():gsub("^" .. mark, "")
  return whole .. rest
end

local function parse_spec(spec)
  local fill, align, rest = spec:match("^(" .. utf8.charpattern .. ")([<>=^])(.*)$")
  if not fill then
    align, rest = spec:match "^([<>=^])(.*)$"
  end
  local sign, alternate, zero, width, mark, precision, code, junk =
    (rest or spec):match "^([-+ ]?)(#?)(0?)(%d*)([,_]?)%.?(%d*)(%a?%%?)(.*)$"
  if junk ~= "" then raise("ValueError", "Invalid format specifier") end
  return {
    fill = fill or (zero == "0" and "0") or " ", align = align or (zero == "0" and "=") or nil, sign = sign,
    alternate = alternate == "#", width = checked(width), mark = mark, code = code,
    precision = (rest or spec):find("%.%d") and checked(precision) or nil,
  }
end

local function formatted_number(v, o)
  local code = o.code
  if code == "%" then
    local digits, negative = number_digits(real_number(v, "must") * 100, "f", o.precision, false)
    return sign_of(negative, o.sign) .. digits .. "%"
  end
  if code == "" and kind(v) == "float" and not o.precision then
    local s = print.float(v)
    return sign_of(s:sub(1, 1) == "-", o.sign) .. s:gsub("^-", "")
  end
  if code == "" or code == "n" then code = kind(v) == "float" and "g" or "d" end
  if code == "d" and kind(v) == "float" or not ("dxXobeEfFgG"):find(code, 1, true) then
    raise("ValueError", "Unknown format code '%s' for object of type '%s'", o.code, type_name(v))
  end
  local digits, negative = number_digits(v, code == "F" and "f" or code, o.precision, o.alternate)
  if o.mark ~= "" then digits = grouped(digits, o.mark) end
  return sign_of(negative, o.sign) .. digits
end

local function formatted(v, spec)
  if spec == "" then return print.str(v) end
  local o, k = parse_spec(spec), kind(v)
  if k == "int" or k == "float" or (k == "bool" and o.code ~= "" and o.code ~= "s") then
    return padded(formatted_number(v, o), o.width, o.align or ">", o.fill)
  end
  if k ~= "str" and k ~= "markup" then
    raise("TypeError", "unsupported format string passed to %s.__format__", type_name(v))
  end
  if o.code ~= "" and o.code ~= "s" then
    raise("ValueError", "Unknown format code '%s' for object of type 'str'", o.code)
  end
  local s = print.str(v)
  if o.precision then s = text.sub(s, 0, math.min(o.precision, text.len(s))) end
  return padded(s, o.width, o.align or "<", o.fill)
end

---Python's str.format. `access` gives attributes and items: access.attribute(v, name), access.item(v, key).
---@param s string
function M.braces(s, args, kwargs, access)
  local counter = 0

  local function field_value(field)
    local name, path = field:match "^([^.%[]*)(.*)$"
    local v
    if name == "" then
      counter = counter + 1
      v = args[counter]
    elseif name:match "^%d+$" then
      v = args[tonumber(name) + 1]
    else
      v = kwargs and values.dict_get(kwargs, name)
      if v == nil then raise("KeyError", "%s", print.repr(name)) end
    end
    if v == nil then raise("IndexError", "Replacement index out of range for positional args tuple") end
    for dot, attribute, key in path:gmatch "(%.?)([^.%[%]]*)%[?([^%]]*)%]?" do
      if attribute ~= "" and dot == "." then v = access.attribute(v, attribute) end
      if key ~= "" then v = access.item(v, math.tointeger(tonumber(key)) or key) end
    end
    return v
  end

  local function expand(format, depth)
    local out, at = {}, 1
    while at <= #format do
      local from, _, brace = format:find("([{}])", at)
      out[#out + 1] = format:sub(at, (from or 0) - 1)
      if not from then break end
      if format:sub(from + 1, from + 1) == brace then
        out[#out + 1], at = brace, from + 2
      else
        local inner = brace == "{" and format:match("^%b{}", from)
        if not inner or depth > 1 then raise("ValueError", "Single '%s' encountered in format string", brace) end
        at = from + #inner
        local field, conversion, spec = inner:match "^{([^!:]*)!?([rsa]?):?(.*)}$"
        local v = field_value(field)
        if conversion == "r" or conversion == "a" then v = print.repr(v) end
        if conversion == "s" then v = print.str(v) end
        out[#out + 1] = formatted(v, expand(spec, depth + 1))
      end
    end
    return table.concat(out)
  end

  return expand(s, 0)
end

M.padded = padded

return M
