-- The values of templates: Python's, kept apart where Lua would mix them.
--
-- str, int, float and bool are Lua's own. Everything else is a table whose metatable says its kind: none, undefined,
-- list, tuple, dict (ordered), markup, generator, view (dict_items …), range, namespace, function, macro, loop. Values
-- never change after they are made, but for namespaces and generators.
local json = require "sqlune.core".json
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local raise = errors.raise
local mtype = math.type

local function class(kind, python) return { kind = kind, python = python } end

local None = class("none", "NoneType")
local Undefined = class("undefined", "Undefined")
local List = class("list", "list")
local Tuple = class("tuple", "tuple")
local Dict = class("dict", "dict")
local Markup = class("markup", "Markup")
local Generator = class("generator", "generator")
local View = class("view", "dict_view")
local Range = class("range", "range")
local Namespace = class("namespace", "Namespace")
local Function = class("function", "function")

---The only value of kind none.
M.none = setmetatable({}, None)
local none = M.none

---@return string  # str, int, float, bool, none, undefined, list …
function M.kind(v)
  local t = type(v)
  if t == "table" then return getmetatable(v).kind end
  if t == "string" then return "str" end
  if t == "number" then return mtype(v) == "integer" and "int" or "float" end
  return "bool"
end
local kind = M.kind

---Python's name of a value's type, for messages.
function M.type_name(v)
  if type(v) ~= "table" then return kind(v) end
  return v.python or getmetatable(v).python
end
local type_name = M.type_name

-- Making values -------------------------------------------------------------------------------------------------

function M.list(items) return setmetatable(items, List) end

function M.tuple(items) return setmetatable(items, Tuple) end

function M.markup(s) return setmetatable({ text = s }, Markup) end

---Runs `make` when it is first read; what was read is gone, as with Python's generators.
---@param make fun(): table
function M.generator(make) return setmetatable({ make = make, at = 1 }, Generator) end

---What dict.items(), keys() and values() give. @param name string "dict_items" …
function M.view(name, items) return setmetatable({ python = name, items = items }, View) end

function M.range(first, stop, step)
  if step == 0 then raise("ValueError", "range() arg 3 must not be zero") end
  local n = step > 0 and (stop - first + step - 1) // step or (first - stop - step - 1) // -step
  n = math.max(n, 0)
  if n > 100000 then raise("OverflowError", "range too big: a template may use at most 100000 items") end
  return setmetatable({ first = first, stop = stop, step = step, n = n }, Range)
end

function M.namespace(dict) return setmetatable({ dict = dict }, Namespace) end

---A value that templates can call: call(args, kwargs or nil, rt).
function M.callable(name, call) return setmetatable({ name = name, call = call }, Function) end

---An absent variable: "'name' is undefined" if something is asked of it.
function M.missing(name)
  return setmetatable({ message = "'" .. name .. "' is undefined" }, Undefined)
end

---An undefined value with its own message, and the class of the error that using it raises.
function M.undefined(message, error_class)
  return setmetatable({ message = message, class = error_class }, Undefined)
end

function M.fail_undefined(v) raise(v.class or "UndefinedError", "%s", v.message) end

-- Dicts ---------------------------------------------------------------------------------------------------------

-- Key under which a value is kept: True is 1, 1.0 is 1, tuples by their parts.
local function key_of(v)
  local t = type(v)
  if t == "string" then return v end
  if t == "number" then
    if v ~= v then raise("ValueError", "nan cannot be a key here") end
    return v
  end
  if t == "boolean" then return v and 1 or 0 end
  local k = kind(v)
  if k == "markup" then return v.text end
  if k == "tuple" then
    local parts = { "\0tuple" }
    for _, item in ipairs(v) do
      local key = key_of(item)
      parts[#parts + 1] = type(key) .. ":" .. tostring(key)
    end
    return table.concat(parts, "\0")
  end
  if k == "list" or k == "dict" or k == "view" then
    raise("TypeError", "unhashable type: '%s'", M.type_name(v))
  end
  if k == "undefined" then return Undefined end -- all are equal
  return v
end
M.key_of = key_of

---@return table  # an empty dict: keys in order, map from key_of(key) to value
function M.dict() return setmetatable({ keys = {}, map = {} }, Dict) end

function M.dict_set(dict, key, value)
  local at = key_of(key)
  if dict.map[at] == nil then dict.keys[#dict.keys + 1] = key end
  dict.map[at] = value
end

---The value or nil.
function M.dict_get(dict, key) return dict.map[key_of(key)] end

---Values in the order of the keys.
function M.dict_values(dict)
  local out = {}
  for i, key in ipairs(dict.keys) do out[i] = dict.map[key_of(key)] end
  return out
end

---(key, value) tuples in order.
function M.dict_items(dict)
  local out = {}
  for i, key in ipairs(dict.keys) do out[i] = M.tuple { key, dict.map[key_of(key)] } end
  return out
end

-- From Lua ------------------------------------------------------------------------------------------------------

local max_depth <const> = 500

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) ~= "string" then
      raise("TypeError", "a table with both list items and other keys, or with holes, cannot be given to a template")
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- A list's length, or nil if the table is a dict. Plain empty tables are dicts, as in json.encode.
local function list_length(t)
  if json.is_array(t) then return #t end
  local n = #t
  if n == 0 or json.is_object(t) then return nil end
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  return count == n and n or nil
end

-- All text in templates is UTF-8, so that counting and cutting characters cannot fail.
local function checked(s)
  text.len(s)
  return s
end

---Lua's value (from json.decode, or plain) as a template's. Values of templates pass through.
function M.from_lua(v, depth)
  local t = type(v)
  if t == "number" or t == "boolean" then return v end
  if t == "string" then return checked(v) end
  if v == nil or v == json.null then return none end
  if t ~= "table" then raise("TypeError", "a %s cannot be given to a template", t) end
  local mt = getmetatable(v)
  if type(mt) == "table" and rawget(mt, "kind") then return v end
  depth = (depth or 0) + 1
  if depth > max_depth then raise("RecursionError", "data nested more than %d deep", max_depth) end
  local n = list_length(v)
  if n then
    local out = {}
    for i = 1, n do out[i] = M.from_lua(v[i], depth) end
    return setmetatable(out, List)
  end
  local dict = M.dict()
  local keys, map = dict.keys, dict.map
  for i, key in ipairs(json.is_object(v) and json.keys(v) or sorted_keys(v)) do
    keys[i], map[key] = checked(key), M.from_lua(v[key], depth)
  end
  return dict
end

-- Reading values ------------------------------------------------------------------------------------------------

---Python's truth.
function M.truth(v)
  local t = type(v)
  if t == "boolean" then return v end
  if t == "string" then return v ~= "" end
  if t == "number" then return v ~= 0 end
  if v == none then return false end
  local k = kind(v)
  if k == "list" or k == "tuple" then return #v > 0 end
  if k == "dict" then return #v.keys > 0 end
  if k == "undefined" then return false end
  if k == "markup" then return v.text ~= "" end
  if k == "range" then return v.n > 0 end
  if k == "view" then return #v.items > 0 end
  return true
end

---len(v), or nil if it has none.
function M.length(v)
  local k = kind(v)
  if k == "str" then return text.len(v) end
  if k == "list" or k == "tuple" then return #v end
  if k == "dict" then return #v.keys end
  if k == "markup" then return text.len(v.text) end
  if k == "undefined" then return 0 end
  if k == "range" then return v.n end
  if k == "view" then return #v.items end
  if k == "loop" then return v.n end
end

local function range_items(v)
  local out, item = {}, v.first
  for i = 1, v.n do
    out[i] = item
    item = item + v.step
  end
  return out
end

---The items as a Lua list, which the caller must not change; nil if it cannot be iterated. Empties generators.
function M.items(v)
  local k = kind(v)
  if k == "list" or k == "tuple" then return v end
  if k == "str" then return text.chars(v) end
  if k == "dict" then return v.keys end
  if k == "undefined" then return {} end
  if k == "markup" then return text.chars(v.text) end
  if k == "range" then return range_items(v) end
  if k == "view" then return v.items end
  if k == "generator" then
    local all = v.all or v.make()
    local rest = v.at == 1 and all or table.move(all, v.at, #all, 1, {})
    v.all, v.at = all, #all + 1
    return rest
  end
end

---The same, but an error if it cannot be iterated.
function M.iterate(v)
  local items = M.items(v)
  if items then return items end
  raise("TypeError", "'%s' object is not iterable", type_name(v))
end

---The first item or nil; takes one item of a generator.
function M.first(v)
  if kind(v) ~= "generator" then return M.iterate(v)[1] end
  v.all = v.all or v.make()
  local item = v.all[v.at]
  if item ~= nil then v.at = v.at + 1 end
  return item
end

---The text of a str or markup, else nil.
function M.as_text(v)
  if type(v) == "string" then return v end
  if type(v) == "table" and getmetatable(v) == Markup then return v.text end
end

---The integer of an int or bool, else nil.
function M.as_int(v)
  if mtype(v) == "integer" then return v end
  if type(v) == "boolean" then return v and 1 or 0 end
end

---The number of an int, float or bool, else nil.
function M.as_number(v)
  if type(v) == "number" then return v end
  if type(v) == "boolean" then return v and 1 or 0 end
end

return M
