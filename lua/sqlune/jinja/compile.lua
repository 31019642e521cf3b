-- Turns the nodes of expressions into closures f(rt, scope) -> value. Statements are compiled in statements.lua.
--
-- A scope is a table of variables by name, its parent at [1]; the last one holds the global functions. rt is the state
-- of one rendering: out (list of text so far), line, depth, now.
local values = require "sqlune.jinja.values"
local operators = require "sqlune.jinja.operators"
local access = require "sqlune.jinja.access"
local print = require "sqlune.jinja.print"
local filters = require "sqlune.jinja.filters"
local tests = require "sqlune.jinja.tests"
local errors = require "sqlune.jinja.errors"

local M = {}
local truth, kind, str = values.truth, values.kind, print.str
local concat = table.concat

---@class sqlune.jinja.Compiler
---@field soft integer   > 0: inside something that may not run, so an unknown filter is an error only when it does
---@field loops integer  loops around, inside the same macro

local compilers = {}

---@param c sqlune.jinja.Compiler
---@return fun(rt: table, scope: table): any
local function compile(c, node)
  return compilers[node.kind](c, node)
end
M.expression = compile

local function compile_all(c, nodes)
  local out = {}
  for i, node in ipairs(nodes) do out[i] = compile(c, node) end
  return out
end

-- Evaluates a list of closures.
local function evaluate(list, rt, s)
  local out = {}
  for i = 1, #list do out[i] = list[i](rt, s) end
  return out
end

-- Values --------------------------------------------------------------------------------------------------------

function compilers.const(_, node)
  local value = node.value
  return function() return value end
end

function compilers.none()
  local none = values.none
  return function() return none end
end

function compilers.name(_, node)
  local name, missing = node.name, values.missing(node.name)
  return function(_, s)
    repeat
      local value = s[name]
      if value ~= nil then return value end
      s = s[1]
    until not s
    return missing
  end
end

function compilers.list(c, node)
  local items = compile_all(c, node)
  return function(rt, s) return values.list(evaluate(items, rt, s)) end
end

function compilers.tuple(c, node)
  local items = compile_all(c, node)
  return function(rt, s) return values.tuple(evaluate(items, rt, s)) end
end

function compilers.dict(c, node)
  local pairs_of = {}
  for i, pair in ipairs(node) do pairs_of[i] = { compile(c, pair.key), compile(c, pair.value) } end
  return function(rt, s)
    local dict = values.dict()
    for _, pair in ipairs(pairs_of) do values.dict_set(dict, pair[1](rt, s), pair[2](rt, s)) end
    return dict
  end
end

-- Operators -----------------------------------------------------------------------------------------------------

compilers["cond"] = function(c, node)
  local test = compile(c, node.test)
  c.soft = c.soft + 1
  local yes, no = compile(c, node.yes), node.no and compile(c, node.no)
  c.soft = c.soft - 1
  local nothing = values.undefined "the inline if-expression evaluated to false and no else section was defined."
  return function(rt, s)
    if truth(test(rt, s)) then return yes(rt, s) end
    if no then return no(rt, s) end
    return nothing
  end
end

compilers["or"] = function(c, node)
  local left, right = compile(c, node.left), compile(c, node.right)
  return function(rt, s)
    local value = left(rt, s)
    if truth(value) then return value end
    return right(rt, s)
  end
end

compilers["and"] = function(c, node)
  local left, right = compile(c, node.left), compile(c, node.right)
  return function(rt, s)
    local value = left(rt, s)
    if not truth(value) then return value end
    return right(rt, s)
  end
end

compilers["not"] = function(c, node)
  local value = compile(c, node.value)
  return function(rt, s) return not truth(value(rt, s)) end
end

function compilers.compare(c, node)
  local first = compile(c, node.first)
  local rest, functions = {}, {}
  for i, part in ipairs(node.rest) do
    rest[i] = compile(c, part.value)
    local operator = operators[part.operator]
    functions[i] = operator
    if part.operator:find "contains" then
      functions[i] = function(item, container) return operator(container, item) end
    end
  end
  local f, only = functions[1], rest[1]
  if #rest == 1 then
    return function(rt, s) return f(first(rt, s), only(rt, s)) end
  end
  return function(rt, s)
    local left = first(rt, s)
    for i = 1, #rest do
      local right = rest[i](rt, s)
      if not functions[i](left, right) then return false end
      left = right
    end
    return true
  end
end

function compilers.binary(c, node)
  local left, right, f = compile(c, node.left), compile(c, node.right), operators[node.operator]
  return function(rt, s) return f(left(rt, s), right(rt, s)) end
end

function compilers.unary(c, node)
  local value, f = compile(c, node.value), operators[node.operator]
  return function(rt, s) return f(value(rt, s)) end
end

function compilers.concat(c, node)
  local parts = compile_all(c, node)
  return function(rt, s)
    local items = evaluate(parts, rt, s)
    for i = 1, #items do items[i] = str(items[i]) end
    return concat(items)
  end
end

-- Access --------------------------------------------------------------------------------------------------------

function compilers.attribute(c, node)
  local value, name, attribute = compile(c, node.value), node.name, access.attribute
  return function(rt, s) return attribute(value(rt, s), name) end
end

function compilers.item(c, node)
  local value, key, item = compile(c, node.value), compile(c, node.key), access.item
  return function(rt, s) return item(value(rt, s), key(rt, s)) end
end

function compilers.slice(c, node)
  if not node.value then errors.syntax(node.line, "a slice may not stand among several subscripts") end
  local value = compile(c, node.value)
  local first, last, step = node.first and compile(c, node.first), node.last and compile(c, node.last),
    node.step and compile(c, node.step)
  return function(rt, s)
    return access.slice(value(rt, s), first and first(rt, s), last and last(rt, s), step and step(rt, s))
  end
end

-- Calls ---------------------------------------------------------------------------------------------------------

local no_arguments = {}

local function add_keyword(kwargs, name, value)
  if kwargs.map[name] ~= nil then
    errors.raise("TypeError", "got multiple values for keyword argument '%s'", name)
  end
  values.dict_set(kwargs, name, value)
end

local function add_keywords(kwargs, dict)
  if kind(dict) ~= "dict" then errors.raise("TypeError", "argument after ** must be a mapping") end
  for _, key in ipairs(dict.keys) do
    if type(key) ~= "string" then errors.raise("TypeError", "keywords must be strings") end
    add_keyword(kwargs, key, dict.map[key])
  end
end

---A closure that gives the arguments as a list, and the keyword arguments as a dict or nil.
local function compile_arguments(c, node)
  local args = compile_all(c, node.args)
  local rest, keywords = node.rest and compile(c, node.rest), node.keywords and compile(c, node.keywords)
  local named = {}
  for i, pair in ipairs(node.kwargs) do named[i] = { pair.name, compile(c, pair.value) } end
  if #args == 0 and #named == 0 and not rest and not keywords then
    return function() return no_arguments, nil end
  end
  return function(rt, s)
    local list = evaluate(args, rt, s)
    if rest then
      local more = values.iterate(rest(rt, s))
      table.move(more, 1, #more, #list + 1, list)
    end
    if #named == 0 and not keywords then return list, nil end
    local kwargs = values.dict()
    for _, pair in ipairs(named) do add_keyword(kwargs, pair[1], pair[2](rt, s)) end
    if keywords then add_keywords(kwargs, keywords(rt, s)) end
    return list, #kwargs.keys > 0 and kwargs or nil
  end
end

function compilers.call(c, node)
  local arguments = compile_arguments(c, node.arguments)
  if node.value.kind == "attribute" then
    local value, name, call_method = compile(c, node.value.value), node.value.name, access.call_method
    return function(rt, s)
      local object = value(rt, s)
      local args, kwargs = arguments(rt, s)
      return call_method(object, name, args, kwargs, rt)
    end
  end
  local value, call = compile(c, node.value), access.call
  return function(rt, s)
    local f = value(rt, s)
    local args, kwargs = arguments(rt, s)
    return call(f, args, kwargs, rt)
  end
end

-- The function of a filter or test by name; an unknown one is an error now, or when it runs if it may not.
local function find(c, node, family, what)
  local f = family[node.name]
  if f then return f end
  if c.soft == 0 then errors.syntax(node.line, "No %s named '%s'.", what, node.name) end
  return function() errors.raise("TemplateRuntimeError", "No %s named '%s' found.", what, node.name) end
end

---A filter as a closure f(rt, scope, value).
function M.filter(c, node)
  local f, arguments = find(c, node, filters, "filter"), compile_arguments(c, node.arguments)
  return function(rt, s, value)
    local args, kwargs = arguments(rt, s)
    return f(value, args, kwargs)
  end
end

function compilers.filter(c, node)
  local value, filter = compile(c, node.value), M.filter(c, node)
  return function(rt, s) return filter(rt, s, value(rt, s)) end
end

function compilers.test(c, node)
  local value, f = compile(c, node.value), find(c, node, tests, "test")
  local arguments, negated = compile_arguments(c, node.arguments), node.negated
  return function(rt, s)
    local v = value(rt, s)
    local args, kwargs = arguments(rt, s)
    return f(v, args, kwargs) ~= negated
  end
end

---A value that statements.lua makes at run time, such as the caller of a call block.
function compilers.slot(_, node)
  local name = node.name
  return function(rt) return rt[name] end
end

return M
