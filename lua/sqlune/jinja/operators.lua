-- What + - * / // % ** ~ == < and `in` do, by Python's rules. Integers have 64 bits: beyond them is an error.
local values = require "sqlune.jinja.values"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local kind, type_name, raise = values.kind, values.type_name, errors.raise
local as_number, as_text = values.as_number, values.as_text
local mtype = math.type

local max_result <const> = 1 << 26 -- bytes or items that a repetition may make

-- Equality and order --------------------------------------------------------------------------------------------

local eq

local function eq_lists(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if not eq(a[i], b[i]) then return false end
  end
  return true
end

local function eq_dicts(a, b)
  if #a.keys ~= #b.keys then return false end
  for key, value in pairs(a.map) do
    local other = b.map[key]
    if other == nil or not eq(value, other) then return false end
  end
  return true
end

---Python's ==.
function M.eq(a, b)
  if rawequal(a, b) then return a == a end
  local ta, tb = type(a), type(b)
  if ta == "string" and tb == "string" then return false end
  if ta ~= "table" and tb ~= "table" then
    local na, nb = as_number(a), as_number(b)
    return na ~= nil and nb ~= nil and na == nb
  end
  local ka, kb = kind(a), kind(b)
  if ka == "markup" or kb == "markup" then return as_text(a) == as_text(b) end
  if ka ~= kb then return false end
  if ka == "list" or ka == "tuple" then return eq_lists(a, b) end
  if ka == "dict" then return eq_dicts(a, b) end
  if ka == "range" then return a.n == b.n and (a.n == 0 or a.first == b.first and (a.n == 1 or a.step == b.step)) end
  return ka == "undefined"
end
eq = M.eq

local function fail_undefined(a, b)
  if kind(a) == "undefined" then values.fail_undefined(a) end
  if kind(b) == "undefined" then values.fail_undefined(b) end
end

local function order_of_lists(a, b, sign)
  for i = 1, math.min(#a, #b) do
    if not eq(a[i], b[i]) then return M.order(a[i], b[i], sign) end
  end
  return #a < #b and -1 or #a > #b and 1 or 0
end

---Negative, 0 or positive, as a is before, equal to or after b; nan gives nil. `sign` is for the message.
function M.order(a, b, sign)
  local na, nb = as_number(a), as_number(b)
  if na and nb then
    if na < nb then return -1 end
    if na == nb then return 0 end
    return na > nb and 1 or nil
  end
  local sa, sb = as_text(a), as_text(b)
  if sa and sb then -- UTF-8 orders bytes as it orders code points; the host keeps the C locale's order
    return sa < sb and -1 or sa == sb and 0 or 1
  end
  local ka, kb = kind(a), kind(b)
  if ka == kb and (ka == "list" or ka == "tuple") then return order_of_lists(a, b, sign) end
  fail_undefined(a, b)
  raise("TypeError", "'%s' not supported between instances of '%s' and '%s'", sign, type_name(a), type_name(b))
end

function M.lt(a, b)
  local o = M.order(a, b, "<")
  return o ~= nil and o < 0
end

function M.le(a, b)
  local o = M.order(a, b, "<=")
  return o ~= nil and o <= 0
end

function M.gt(a, b)
  local o = M.order(a, b, ">")
  return o ~= nil and o > 0
end

function M.ge(a, b)
  local o = M.order(a, b, ">=")
  return o ~= nil and o >= 0
end

function M.ne(a, b) return not eq(a, b) end

---Python's `item in container`.
function M.contains(container, item)
  local s = as_text(container)
  if s then
    local part = as_text(item)
    if part then return s:find(part, 1, true) ~= nil end
    fail_undefined(item, item)
    raise("TypeError", "'in <string>' requires string as left operand, not %s", type_name(item))
  end
  if kind(container) == "dict" then return values.dict_get(container, item) ~= nil end
  local items = values.items(container)
  if not items then raise("TypeError", "argument of type '%s' is not iterable", type_name(container)) end
  for _, v in ipairs(items) do
    if eq(v, item) then return true end
  end
  return false
end

function M.not_contains(container, item) return not M.contains(container, item) end

-- Arithmetic ----------------------------------------------------------------------------------------------------

local function unsupported(sign, a, b)
  fail_undefined(a, b)
  raise("TypeError", "unsupported operand type(s) for %s: '%s' and '%s'", sign, type_name(a), type_name(b))
end

local function overflow() raise("OverflowError", "an integer beyond 64 bits") end

local function both_numbers(sign, a, b)
  local na, nb = as_number(a), as_number(b)
  if na and nb then return na, nb end
  unsupported(sign, a, b)
end

local function both_integers(a, b) return mtype(a) == "integer" and mtype(b) == "integer" end

local function joined(a, b)
  local out = table.move(a, 1, #a, 1, {})
  return table.move(b, 1, #b, #out + 1, out)
end

local html = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&#34;", ["'"] = "&#39;" }

---Text with HTML's special characters escaped; markup as it is.
function M.escape(v)
  if kind(v) == "markup" then return v.text end
  return (print.str(v):gsub("[&<>\"']", html))
end

local function concat_failed(a, b)
  fail_undefined(a, b)
  if type(a) == "string" then raise("TypeError", 'can only concatenate str (not "%s") to str', type_name(b)) end
  local k = kind(a)
  if k == "list" or k == "tuple" then
    raise("TypeError", 'can only concatenate %s (not "%s") to %s', k, type_name(b), k)
  end
  unsupported("+", a, b)
end

function M.add(a, b)
  if type(a) == "string" and type(b) == "string" then return a .. b end
  local na, nb = as_number(a), as_number(b)
  if na and nb then
    local sum = na + nb
    if both_integers(na, nb) and (na ~ sum) & (nb ~ sum) < 0 then overflow() end
    return sum
  end
  local ka, kb = kind(a), kind(b)
  if (ka == "markup" or kb == "markup") and as_text(a) and as_text(b) then
    return values.markup(M.escape(a) .. M.escape(b))
  end
  if ka == "list" and kb == "list" then return values.list(joined(a, b)) end
  if ka == "tuple" and kb == "tuple" then return values.tuple(joined(a, b)) end
  concat_failed(a, b)
end

function M.sub(a, b)
  local na, nb = both_numbers("-", a, b)
  local difference = na - nb
  if both_integers(na, nb) and (na ~ nb) & (na ~ difference) < 0 then overflow() end
  return difference
end

local function repeated(v, n)
  local size = (values.length(v) or 0) * math.max(n, 0)
  if size > max_result then raise("MemoryError", "a repetition of %d items", size) end
  if type(v) == "string" then return v:rep(n) end
  local out = {}
  for _ = 1, n do table.move(v, 1, #v, #out + 1, out) end
  return kind(v) == "list" and values.list(out) or values.tuple(out)
end

local repeatable = { str = true, list = true, tuple = true }

local function multiply_integers(a, b)
  local product = a * b
  if a ~= 0 and (product // a ~= b or a == -1 and b == math.mininteger) then overflow() end
  return product
end

function M.mul(a, b)
  local na, nb = as_number(a), as_number(b)
  if na and nb then
    if both_integers(na, nb) then return multiply_integers(na, nb) end
    return na * nb
  end
  if repeatable[kind(a)] and mtype(nb) == "integer" then return repeated(a, nb) end
  if repeatable[kind(b)] and mtype(na) == "integer" then return repeated(b, na) end
  unsupported("*", a, b)
end

local function divisor(sign, a, b)
  local na, nb = both_numbers(sign, a, b)
  if nb == 0 then raise("ZeroDivisionError", "division by zero") end
  return na, nb
end

function M.div(a, b)
  local na, nb = divisor("/", a, b)
  return na / nb
end

function M.floordiv(a, b)
  local na, nb = divisor("//", a, b)
  return na // nb
end

function M.mod(a, b)
  if as_text(a) then
    local done = require "sqlune.jinja.format".percent(print.str(a), b, kind(a) == "markup" and M.escape)
    return kind(a) == "markup" and values.markup(done) or done
  end
  local na, nb = divisor("%", a, b)
  return na % nb
end

function M.pow(a, b)
  local na, nb = both_numbers("**", a, b)
  if na == 0 and nb < 0 then raise("ZeroDivisionError", "0.0 cannot be raised to a negative power") end
  if not both_integers(na, nb) or nb < 0 then return (na + 0.0) ^ nb end
  if na == 0 or na == 1 then return nb == 0 and 1 or na end
  if na == -1 then return nb % 2 == 0 and 1 or -1 end
  if nb > 63 then overflow() end
  local product = 1
  for _ = 1, nb do product = multiply_integers(product, na) end
  return product
end

function M.neg(v)
  local n = as_number(v)
  if not n then
    fail_undefined(v, v)
    raise("TypeError", "bad operand type for unary -: '%s'", type_name(v))
  end
  if n == math.mininteger and mtype(n) == "integer" then overflow() end
  return -n
end

function M.pos(v)
  local n = as_number(v)
  if n then return n end
  fail_undefined(v, v)
  raise("TypeError", "bad operand type for unary +: '%s'", type_name(v))
end

-- Order of lists ------------------------------------------------------------------------------------------------

---A sorted copy, stable (Lua's own sort is not); key(item) is called once per item.
---@param items table
---@param key fun(item): any
---@param reverse boolean?
function M.sorted(items, key, reverse)
  local keyed = {}
  for i, item in ipairs(items) do keyed[i] = { key(item), item, i } end
  local sign = reverse and -1 or 1
  table.sort(keyed, function(a, b)
    if rawequal(a, b) then return false end
    local o = M.order(a[1], b[1], "<") or 0
    if o ~= 0 then return o * sign < 0 end
    return a[3] < b[3]
  end)
  for i, entry in ipairs(keyed) do keyed[i] = entry[2] end
  return keyed
end

---Code points of s in reverse order.
function M.reversed_text(s)
  if text.is_ascii(s) then return s:reverse() end
  local chars = text.chars(s)
  local n, out = #chars, {}
  for i = 1, n do out[i] = chars[n + 1 - i] end
  return table.concat(out)
end

return M
