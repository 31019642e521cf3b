-- Macros and the callers of call blocks: bodies that templates call with arguments; the result is text.
local values = require "sqlune.jinja.values"
local compile = require "sqlune.jinja.compile"
local loops = require "sqlune.jinja.loops"
local errors = require "sqlune.jinja.errors"

local M = {}
local raise = errors.raise

---@class sqlune.jinja.Macro
---@field name string?       nil: the caller of a call block
---@field arguments table    a tuple of the parameters' names
---@field caller boolean     the body uses caller(), varargs, kwargs
---@field catch_varargs boolean
---@field catch_kwargs boolean
---@field call function
local Macro = { kind = "macro", python = "Macro" }
Macro.__index = Macro

-- Which of the names caller, varargs and kwargs a node reads.
local function special_names(node, found)
  if node.kind == "name" then found[node.name] = true end
  for _, child in pairs(node) do
    if type(child) == "table" then special_names(child, found) end
  end
  return found
end

local function name_of(macro) return macro.name and "'" .. macro.name .. "'" or "None" end

-- Takes `caller` out of the keyword arguments.
local function take_caller(macro, scope, kwargs)
  local caller = kwargs and kwargs.map.caller
  if macro.caller then scope.caller = caller or values.undefined "No caller defined" end
  if caller and not macro.caller and not macro.catch_kwargs then
    raise("TypeError", "macro %s was invoked with two values for the special caller argument", name_of(macro))
  end
end

-- Keyword arguments that no parameter took: to `kwargs`, or an error.
local function rest_of_keywords(macro, scope, kwargs, taken)
  local rest = values.dict()
  for _, key in ipairs(kwargs and kwargs.keys or {}) do
    if not taken[key] and not (key == "caller" and macro.caller) then values.dict_set(rest, key, kwargs.map[key]) end
  end
  if macro.catch_kwargs then
    scope.kwargs = rest
  elseif #rest.keys > 0 then
    raise("TypeError", "macro %s takes no keyword argument '%s'", name_of(macro), rest.keys[1])
  end
end

local function rest_of_arguments(macro, scope, args)
  local n = #macro.arguments
  if macro.catch_varargs then
    scope.varargs = values.tuple(table.move(args, n + 1, #args, 1, {}))
  elseif #args > n then
    raise("TypeError", "macro %s takes not more than %d argument(s)", name_of(macro), n)
  end
end

---@param c sqlune.jinja.Compiler
---@param node table  with parameters, body and perhaps name
---@param body function  the compiled body
---@param capture fun(rt, run, scope): string
---@return fun(scope: table): sqlune.jinja.Macro  # makes the macro where its statement runs
function M.compile(c, node, body, capture)
  local names, defaults = values.tuple {}, {}
  for i, parameter in ipairs(node.parameters) do
    names[i] = parameter.name
    defaults[i] = parameter.default and compile.expression(c, parameter.default)
  end
  local used = special_names(node.body, {})

  local function bind(macro, outer, args, kwargs, rt)
    local scope, taken = { outer }, {}
    for i, name in ipairs(names) do
      local value = args[i]
      if value == nil and kwargs and kwargs.map[name] ~= nil then value, taken[name] = kwargs.map[name], true end
      if value == nil then
        value = defaults[i] and defaults[i](rt, scope)
          or values.undefined(("parameter '%s' was not provided"):format(name))
      end
      scope[name] = value
    end
    take_caller(macro, scope, kwargs)
    rest_of_keywords(macro, scope, kwargs, taken)
    rest_of_arguments(macro, scope, args)
    return scope
  end

  return function(outer)
    local macro = setmetatable({
      name = node.name, arguments = names, caller = used.caller == true,
      catch_varargs = used.varargs == true, catch_kwargs = used.kwargs == true,
    }, Macro)
    macro.call = function(args, kwargs, rt)
      return loops.deeper(rt, function() return capture(rt, body, bind(macro, outer, args, kwargs, rt)) end)
    end
    return macro
  end
end

return M
