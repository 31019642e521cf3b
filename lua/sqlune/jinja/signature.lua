-- Binds Python's positional and keyword arguments to a Lua function's parameters.
--
-- A signature names the parameters: "old, new, count?". Without a mark a parameter is required; "?" may be absent, and
-- none counts as absent; "=" may be absent, and none is a value.
local values = require "sqlune.jinja.values"
local errors = require "sqlune.jinja.errors"

local M = {}
local none, raise = values.none, errors.raise

local function parse(signature)
  local names, marks, index, required = {}, {}, {}, 0
  for name, mark in signature:gmatch "([%a_]+)([?=]?)" do
    names[#names + 1] = name
    marks[#names], index[name] = mark, #names
    if mark == "" then required = #names end
  end
  return names, marks, index, required
end

---A function of a value, arguments (list) and keyword arguments (dict or nil); fn gets the value and each parameter.
---@param name string  for messages
---@param signature string
---@param fn function
---@return fun(value, args: table, kwargs: table?): any
function M.define(name, signature, fn)
  local names, marks, index, required = parse(signature)
  local n = #names

  local function keywords(bound, kwargs)
    for _, key in ipairs(kwargs.keys) do
      local i = index[key]
      if not i then raise("TypeError", "%s() got an unexpected keyword argument '%s'", name, key) end
      if bound[i] ~= nil then raise("TypeError", "%s() got multiple values for argument '%s'", name, key) end
      bound[i] = kwargs.map[key]
    end
  end

  return function(value, args, kwargs)
    local given = #args
    if given > n then raise("TypeError", "%s() takes at most %d argument(s) (%d given)", name, n, given) end
    if n == 0 and not kwargs then return fn(value) end
    local bound = table.move(args, 1, given, 1, {})
    if kwargs then keywords(bound, kwargs) end
    for i = 1, n do
      if i <= required and bound[i] == nil then
        raise("TypeError", "%s() is missing its argument '%s'", name, names[i])
      end
      if bound[i] == none and marks[i] == "?" then bound[i] = nil end
    end
    return fn(value, table.unpack(bound, 1, n))
  end
end

---The argument as a Lua integer, `absent` if nil; anything else is an error.
function M.integer(v, absent)
  if v == nil then return absent end
  local n = values.as_int(v)
  if n then return n end
  if values.kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "'%s' object cannot be interpreted as an integer", values.type_name(v))
end

---The argument as a number of blanks or characters to fill with: an integer that cannot fill the memory.
function M.width(v, absent)
  local n = M.integer(v, absent)
  if n > 100000 then raise("MemoryError", "a width of %d characters", n) end
  return n
end

---The argument as a Lua string, nil if nil; anything but text is an error.
function M.text(v)
  if v == nil then return nil end
  local s = values.as_text(v)
  if s then return s end
  if values.kind(v) == "undefined" then values.fail_undefined(v) end
  raise("TypeError", "expected str, not %s", values.type_name(v))
end

return M
