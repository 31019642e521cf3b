-- The tests of templates: what may follow `is`. Each is fn(value, args, kwargs) giving a boolean.
local values = require "sqlune.jinja.values"
local operators = require "sqlune.jinja.operators"
local access = require "sqlune.jinja.access"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local signature = require "sqlune.jinja.signature"

local M = {}
local kind = values.kind

local function test(name, arguments, fn)
  M[name] = signature.define(name, arguments, fn)
end

local function of_kind(...)
  local wanted = {}
  for _, name in ipairs { ... } do wanted[name] = true end
  return function(v) return wanted[kind(v)] == true end
end

test("defined", "", function(v) return kind(v) ~= "undefined" end)
test("undefined", "", of_kind "undefined")
test("none", "", of_kind "none")
test("boolean", "", of_kind "bool")
test("true", "", function(v) return v == true end)
test("false", "", function(v) return v == false end)
test("integer", "", of_kind "int")
test("float", "", of_kind "float")
test("number", "", of_kind("int", "float", "bool"))
test("string", "", of_kind("str", "markup"))
test("mapping", "", of_kind "dict")
test("sequence", "", of_kind("str", "markup", "list", "tuple", "dict", "range", "undefined"))
test("iterable", "", function(v) return kind(v) == "generator" or values.items(v) ~= nil end)
test("callable", "", access.is_callable)
test("escaped", "", of_kind "markup")
test("lower", "", function(v) return text.islower(print.str(v)) end)
test("upper", "", function(v) return text.isupper(print.str(v)) end)
test("odd", "", function(v) return operators.eq(operators.mod(v, 2), 1) end)
test("even", "", function(v) return operators.eq(operators.mod(v, 2), 0) end)
test("divisibleby", "num", function(v, n) return operators.eq(operators.mod(v, n), 0) end)

test("sameas", "other", function(v, other)
  local k = kind(v)
  if k ~= kind(other) then return false end
  return rawequal(v, other) or k == "undefined" and v == other
end)

for name, operator in pairs {
  ["=="] = "eq", eq = "eq", equalto = "eq", ["!="] = "ne", ne = "ne",
  ["<"] = "lt", lt = "lt", lessthan = "lt", ["<="] = "le", le = "le",
  [">"] = "gt", gt = "gt", greaterthan = "gt", [">="] = "ge", ge = "ge",
} do
  test(name, "other", operators[operator])
end
M["in"] = signature.define("in", "container", function(v, container) return operators.contains(container, v) end)

test("test", "", function(v) return M[v] ~= nil end)
test("filter", "", function(v) return require "sqlune.jinja.filters"[v] ~= nil end)

return M
