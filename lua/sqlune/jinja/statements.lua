-- Turns the nodes of statements into closures f(rt, scope) -> nil, or "break" or "continue" on the way out of a loop.
local compile = require "sqlune.jinja.compile"
local values = require "sqlune.jinja.values"
local print = require "sqlune.jinja.print"
local loops = require "sqlune.jinja.loops"
local macros = require "sqlune.jinja.macros"
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local expression = compile.expression
local truth, str = values.truth, print.str
local concat = table.concat

local compilers = {}

-- A body as one closure.
local function body(c, node)
  local list = {}
  for i, child in ipairs(node) do list[i] = compilers[child.kind](c, child) end
  local n, only = #list, list[1]
  if n == 0 then return function() end end
  if n == 1 then return only end
  return function(rt, s)
    for i = 1, n do
      local leave = list[i](rt, s)
      if leave then return leave end
    end
  end
end
M.body = body

-- A body that may not run, or not in this loop or macro.
local function soft_body(c, node)
  c.soft = c.soft + 1
  local run = body(c, node)
  c.soft = c.soft - 1
  return run
end

local function inner_body(c, node)
  local loops_around = c.loops
  c.loops = 0
  local run = body(c, node)
  c.loops = loops_around
  return run
end

---What run(rt, scope) prints, as text.
local function capture(rt, run, s)
  local out = rt.out
  rt.out = {}
  run(rt, s)
  local result = concat(rt.out)
  rt.out = out
  return result
end
M.capture = capture

-- Output --------------------------------------------------------------------------------------------------------

function compilers.text(_, node)
  local data = node.value
  return function(rt)
    local out = rt.out
    out[#out + 1] = data
  end
end

function compilers.output(c, node)
  local value, line = expression(c, node.value), node.line
  return function(rt, s)
    rt.line = line
    local v = value(rt, s)
    local out = rt.out
    out[#out + 1] = type(v) == "string" and v or str(v)
  end
end

function compilers.prints(c, node)
  local outputs = {}
  for i, value in ipairs(node) do outputs[i] = { kind = "output", value = value, line = node.line } end
  return body(c, outputs)
end

-- Branches and loops --------------------------------------------------------------------------------------------

compilers["if"] = function(c, node)
  local test, line = expression(c, node.test), node.line
  local yes, no = soft_body(c, node.body), node.no and soft_body(c, node.no)
  return function(rt, s)
    rt.line = line
    if truth(test(rt, s)) then return yes(rt, s) end
    if no then return no(rt, s) end
  end
end

compilers["for"] = function(c, node)
  local parts = { items = expression(c, node.items), target = M.target(c, node.target), line = node.line }
  parts.test = node.test and expression(c, node.test)
  c.loops = c.loops + 1
  parts.body = body(c, node.body)
  c.loops = c.loops - 1
  parts.no = node.no and body(c, node.no)
  parts.recursive = node.recursive
  return loops.compile(parts, capture)
end

local function leave(c, node)
  local word = node.kind
  if c.loops == 0 then errors.syntax(node.line, "'%s' outside of a loop", word) end
  return function() return word end
end
compilers["break"], compilers["continue"] = leave, leave

-- Variables -----------------------------------------------------------------------------------------------------

local function assign_tuple(targets)
  local n = #targets
  return function(rt, s, value)
    local items = values.iterate(value)
    if #items > n then errors.raise("ValueError", "too many values to unpack (expected %d)", n) end
    if #items < n then
      errors.raise("ValueError", "not enough values to unpack (expected %d, got %d)", n, #items)
    end
    for i = 1, n do targets[i](rt, s, items[i]) end
  end
end

local function assign_attribute(c, node)
  local object = expression(c, { kind = "name", name = node.name, line = node.line })
  local name = node.attribute
  return function(rt, s, value)
    local namespace = object(rt, s)
    if values.kind(namespace) ~= "namespace" then
      errors.raise("TemplateRuntimeError", "cannot assign attribute on non-namespace object")
    end
    values.dict_set(namespace.dict, name, value)
  end
end

---What assigns to a target: f(rt, scope, value).
function M.target(c, node)
  if node.kind == "tuple" then
    local targets = {}
    for i, child in ipairs(node) do targets[i] = M.target(c, child) end
    return assign_tuple(targets)
  end
  if node.kind == "namespace_attribute" then return assign_attribute(c, node) end
  local name = node.name
  return function(_, s, value) s[name] = value end
end

function compilers.set(c, node)
  local assign, value, line = M.target(c, node.target), expression(c, node.value), node.line
  return function(rt, s)
    rt.line = line
    assign(rt, s, value(rt, s))
  end
end

-- Filters one after the other: f(rt, scope, value).
local function filter_chain(c, nodes)
  local list = {}
  for i, node in ipairs(nodes) do list[i] = compile.filter(c, node) end
  return function(rt, s, value)
    for _, filter in ipairs(list) do value = filter(rt, s, value) end
    return value
  end
end

function compilers.set_block(c, node)
  local assign, run, chain = M.target(c, node.target), inner_body(c, node.body), filter_chain(c, node.filters)
  return function(rt, s)
    assign(rt, s, chain(rt, s, capture(rt, run, { s })))
  end
end

function compilers.filter(c, node)
  local run, chain = inner_body(c, node.body), filter_chain(c, node.filters)
  return function(rt, s)
    local result = str(chain(rt, s, capture(rt, run, { s })))
    rt.out[#rt.out + 1] = result
  end
end

compilers["with"] = function(c, node)
  local targets, list, run = {}, {}, body(c, node.body)
  for i, target in ipairs(node.names) do
    targets[i], list[i] = M.target(c, target), expression(c, node.values[i])
  end
  return function(rt, s)
    rt.line = node.line
    local inner = { s }
    for i, value in ipairs(list) do targets[i](rt, inner, value(rt, s)) end
    return run(rt, inner)
  end
end

-- Macros --------------------------------------------------------------------------------------------------------

function compilers.macro(c, node)
  local make = macros.compile(c, node, inner_body(c, node.body), capture)
  local name = node.name
  return function(_, s) s[name] = make(s) end
end

-- {% call(args) f(…) %}: f is called with the keyword argument `caller`, a macro of the body.
function compilers.call(c, node)
  local make = macros.compile(c, node, inner_body(c, node.body), capture)
  local call, line = node.value, node.line
  table.insert(call.arguments.kwargs, { name = "caller", value = { kind = "slot", name = "caller", line = line } })
  local value = expression(c, call)
  return function(rt, s)
    rt.line = line
    local before = rt.caller
    rt.caller = make(s)
    local result = str(value(rt, s))
    rt.caller = before
    rt.out[#rt.out + 1] = result
  end
end

-- Length in code points of what the template has printed, captured text that is still open not counted.
local function printed(rt)
  for i = rt.measured + 1, #rt.root do rt.length = rt.length + text.len(rt.root[i]) end
  rt.measured = #rt.root
  return rt.length
end

-- {% generation %}: prints its body and notes where it begins and ends in the text.
function compilers.generation(c, node)
  local run = inner_body(c, node.body)
  return function(rt, s)
    local result = capture(rt, run, { s })
    local first = printed(rt)
    table.insert(rt.generations, { first, first + text.len(result) })
    rt.out[#rt.out + 1] = result
  end
end

return M
