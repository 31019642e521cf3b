-- The global functions of templates. Each is called as call(args, kwargs or nil, rt), rt the state of one rendering.
local values = require "sqlune.jinja.values"
local print = require "sqlune.jinja.print"
local signature = require "sqlune.jinja.signature"
local time = require "sqlune.jinja.time"
local errors = require "sqlune.jinja.errors"

local M = {}
local raise, integer = errors.raise, signature.integer

local function global(name, call) M[name] = values.callable(name, call) end

global("range", function(args, kwargs)
  if kwargs then raise("TypeError", "range() takes no keyword arguments") end
  if #args == 0 or #args > 3 then raise("TypeError", "range expected 1 to 3 arguments, got %d", #args) end
  local first, stop, step = integer(args[1]), integer(args[2]), integer(args[3], 1)
  if not stop then first, stop = 0, first end
  return values.range(first, stop, step)
end)

-- A dict of a dict or of pairs (optional) and keyword arguments.
local function make_dict(name, args, kwargs)
  if #args > 1 then raise("TypeError", "%s expected at most 1 argument, got %d", name, #args) end
  local dict, source = values.dict(), args[1]
  if source and values.kind(source) == "dict" then
    for _, key in ipairs(source.keys) do values.dict_set(dict, key, values.dict_get(source, key)) end
  elseif source then
    for _, pair in ipairs(values.iterate(source)) do
      local two = values.iterate(pair)
      if #two ~= 2 then raise("ValueError", "dictionary update sequence element needs 2 parts, not %d", #two) end
      values.dict_set(dict, two[1], two[2])
    end
  end
  for _, key in ipairs(kwargs and kwargs.keys or {}) do values.dict_set(dict, key, kwargs.map[key]) end
  return dict
end

global("dict", function(args, kwargs) return make_dict("dict", args, kwargs) end)

global("namespace", function(args, kwargs) return values.namespace(make_dict("namespace", args, kwargs)) end)

global("joiner", function(args)
  local separator, used = args[1] or ", ", false
  return values.callable("joiner", function()
    if used then return separator end
    used = true
    return ""
  end)
end)

global("cycler", function(args)
  if #args == 0 then raise("RuntimeError", "at least one item has to be provided") end
  local at = 1
  local cycler = values.callable("cycler", function() raise("TypeError", "'Cycler' object is not callable") end)
  local next_item = values.callable("next", function()
    local item = args[at]
    at = at % #args + 1
    return item
  end)
  local reset = values.callable("reset", function()
    at = 1
    return values.none
  end)
  cycler.fields = function(name)
    if name == "next" then return next_item end
    if name == "reset" then return reset end
    if name == "current" then return args[at] end
  end
  return cycler
end)

global("lipsum", function() raise("RuntimeError", "lipsum makes random text: not available") end)

global("raise_exception", function(args)
  raise("TemplateError", "%s", print.str(args[1] == nil and values.none or args[1]))
end)

global("strftime_now", function(args, _, rt)
  rt.clock = rt.clock or time.fields(rt.now)
  return time.strftime(signature.text(args[1]) or "", rt.clock)
end)

return M
