-- Attributes, items, slices and calls, by the rules of Jinja's sandbox: a.b asks for an attribute, then an item; a['b']
-- the other way round; what is not there is undefined.
local values = require "sqlune.jinja.values"
local methods = require "sqlune.jinja.methods"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local kind, type_name, raise, none = values.kind, values.type_name, errors.raise, values.none

-- Names of Python that every object has, so that `x.__class__` is unsafe rather than absent.
local everywhere = {}
for name in ([[__class__ __doc__ __dir__ __eq__ __init__ __hash__ __repr__ __str__ __reduce__ __getattribute__ __new__
  __subclasshook__ __init_subclass__ __format__ __sizeof__ __ne__ __lt__ __le__ __gt__ __ge__ __setattr__
  __delattr__]]):gmatch "[%a_]+" do
  everywhere[name] = true
end

local function unsafe(v, name)
  return values.undefined(("access to attribute '%s' of '%s' object is unsafe."):format(name, type_name(v)),
    "SecurityError")
end

local function absent(v, name)
  if v == none then
    local what = type(name) == "string" and "'None' has no attribute %s" or "None has no element %s"
    return values.undefined(what:format(print.repr(name)))
  end
  if type(name) == "string" then
    return values.undefined(("'%s object' has no attribute %s"):format(type_name(v), print.repr(name)))
  end
  return values.undefined(("%s object has no element %s"):format(type_name(v), print.repr(name)))
end

local fields = {} -- attributes that are no methods, by kind

function fields.namespace(v, name) return v.dict.map[name] end

function fields.loop(v, name) return v:field(name) end

function fields.macro(v, name)
  if name == "name" then return v.name or none end
  if name == "arguments" then return v.arguments end
  if name == "catch_varargs" or name == "catch_kwargs" or name == "caller" then return v[name] end
end

function fields.range(v, name)
  if name == "start" then return v.first end
  if name == "stop" or name == "step" then return v[name] end
end

function fields.tuple(v, name) return v.fields and v.fields[name] end

fields["function"] = function(v, name) return v.fields and v.fields(name) end

-- The method `name` of v as fn(value, args, kwargs), and the value to give it; markup gives markup back.
local function find_method(v, name)
  local k = kind(v)
  if k == "markup" and methods.by_kind.str[name] then
    local of_text = methods.by_kind.str[name]
    return function(value, args, kwargs)
      local result = of_text(value.text, args, kwargs)
      return type(result) == "string" and values.markup(result) or result
    end
  end
  local of_kind = methods.by_kind[k]
  return of_kind and of_kind[name]
end

-- getattr of Python inside the sandbox: a value, or nil.
local function attribute_of(v, name)
  local k = kind(v)
  local field = fields[k]
  local found = field and field(v, name)
  if found ~= nil then return found end
  local fn = find_method(v, name)
  if fn then return values.callable(name, function(args, kwargs) return fn(v, args, kwargs) end) end
  if everywhere[name] or methods.refused[k] and methods.refused[k][name] then return unsafe(v, name) end
end

local function at_index(n, i)
  if i < 0 then i = i + n end
  return i >= 0 and i < n and i or nil
end

-- v[key] of Python: a value, or nil where Python would raise a LookupError or TypeError.
local function item_of(v, key)
  local k = kind(v)
  if k == "dict" then
    local kk = kind(key)
    if kk == "list" or kk == "dict" then return nil end
    return values.dict_get(v, key)
  end
  local index = values.as_int(key)
  if not index then return nil end
  if k == "list" or k == "tuple" then
    local i = at_index(#v, index)
    return i and v[i + 1]
  end
  if k == "str" or k == "markup" then
    local s = values.as_text(v)
    local i = at_index(text.len(s), index)
    return i and text.sub(s, i, i + 1)
  end
  if k == "range" then
    local i = at_index(v.n, index)
    return i and v.first + i * v.step
  end
end

---v.name of a template.
function M.attribute(v, name)
  if kind(v) == "undefined" then values.fail_undefined(v) end
  local found = attribute_of(v, name)
  if found ~= nil then return found end
  found = item_of(v, name)
  if found ~= nil then return found end
  return absent(v, name)
end

---v[key] of a template.
function M.item(v, key)
  if kind(v) == "undefined" then values.fail_undefined(v) end
  local found = item_of(v, key)
  if found ~= nil then return found end
  local name = values.as_text(key)
  if name then
    found = attribute_of(v, name)
    if found ~= nil then return found end
  end
  return absent(v, key)
end

-- Python's slice bounds: 0-based first index, one past the last in step direction.
local function slice_bounds(n, first, last, step)
  local low, high = 0, n
  if step < 0 then low, high = -1, n - 1 end
  local function clamp(i)
    if i < 0 then i = i + n end
    return math.max(low, math.min(high, i))
  end
  first = first and clamp(first) or (step < 0 and high or low)
  last = last and clamp(last) or (step < 0 and low or high)
  return first, last
end

local function slice_index(v)
  if v == nil or v == none then return nil end
  local i = values.as_int(v)
  if i then return i end
  if kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "slice indices must be integers or None or have an __index__ method")
end

local sliceable = { list = true, tuple = true, str = true, markup = true, range = true }

---v[first:last:step] of a template; nil and none stand for absent parts.
function M.slice(v, first, last, step)
  local k = kind(v)
  if k == "undefined" then values.fail_undefined(v) end
  if not sliceable[k] then raise("TypeError", "'%s' object is not subscriptable", type_name(v)) end
  first, last, step = slice_index(first), slice_index(last), slice_index(step) or 1
  if step == 0 then raise("ValueError", "slice step cannot be zero") end
  local s = values.as_text(v)
  if s and step == 1 then
    return text.sub(s, slice_bounds(text.len(s), first, last, 1))
  end
  if k == "range" then
    first, last = slice_bounds(v.n, first, last, step)
    return values.range(v.first + first * v.step, v.first + last * v.step, v.step * step)
  end
  local items = values.items(v)
  first, last = slice_bounds(#items, first, last, step)
  local out = {}
  for i = first, last - (step > 0 and 1 or -1), step do out[#out + 1] = items[i + 1] end
  if s then return table.concat(out) end
  return k == "tuple" and values.tuple(out) or values.list(out)
end

---f(args, kwargs) of a template.
function M.call(f, args, kwargs, rt)
  local k = kind(f)
  if k == "function" or k == "macro" or k == "loop" then return f.call(args, kwargs, rt) end
  if k == "undefined" then values.fail_undefined(f) end
  raise("TypeError", "'%s' object is not callable", type_name(f))
end

---v.name(args, kwargs) of a template, without making a bound method first.
function M.call_method(v, name, args, kwargs, rt)
  local fn = find_method(v, name)
  if fn then return fn(v, args, kwargs) end
  return M.call(M.attribute(v, name), args, kwargs, rt)
end

---Reads "a.b.0" of a value, as the attribute arguments of filters do.
---@return fun(v): any
function M.path(attribute, default)
  local parts = {}
  if type(attribute) == "string" then
    for _, part in ipairs(text.split(attribute, ".")) do
      parts[#parts + 1] = part:match "^%d+$" and math.tointeger(tonumber(part)) or part
    end
  elseif attribute ~= nil and attribute ~= none then
    parts[1] = attribute
  end
  return function(v)
    for _, part in ipairs(parts) do
      v = M.item(v, part)
      if default ~= nil and kind(v) == "undefined" then v = default end
    end
    return v
  end
end

---Python's callable(v): undefined values are, too, and raise when they are called.
function M.is_callable(v)
  local k = kind(v)
  return k == "function" or k == "macro" or k == "loop" or k == "undefined"
end

return M
