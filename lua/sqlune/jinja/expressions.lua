-- Parses expressions: from weak to strong, inline if, or, and, not, comparisons, + -, ~, * / // %, **, unary - +, then
-- calls, attributes, filters and tests. Unary minus binds tighter than a filter: -3|abs is 3.
--
-- A node is a table with its kind and line; what else it holds stands where it is made.
local errors = require "sqlune.jinja.errors"

local max_depth <const> = 150

---@class sqlune.jinja.Parser
---@field tokens sqlune.jinja.Token[]
---@field at integer       index of the current token
---@field depth integer    nesting of expressions and statements
---@field open string[]    tags that are open, innermost last
local Parser = {}
Parser.__index = Parser

-- Tokens --------------------------------------------------------------------------------------------------------

local names = {
  block_begin = "begin of statement block", block_end = "end of statement block",
  variable_begin = "begin of print statement", variable_end = "end of print statement",
  eof = "end of template", data = "template data",
}

local function describe(token)
  if token.type == "name" then return token.value end
  return names[token.type] or token.type
end

function Parser:current() return self.tokens[self.at] end

function Parser:fail(format, ...) errors.syntax(self:current().line, format, ...) end

function Parser:next()
  local token = self.tokens[self.at]
  if self.at < #self.tokens then self.at = self.at + 1 end
  return token
end

function Parser:is(type) return self.tokens[self.at].type == type end

function Parser:is_name(value)
  local token = self.tokens[self.at]
  return token.type == "name" and token.value == value
end

function Parser:skip(type)
  if not self:is(type) then return false end
  self:next()
  return true
end

function Parser:skip_name(value)
  if not self:is_name(value) then return false end
  self:next()
  return true
end

function Parser:expect(type)
  local token = self:current()
  if token.type ~= type then
    local wanted = names[type] or type
    if token.type == "eof" then self:fail("unexpected end of template, expected '%s'.", wanted) end
    self:fail("expected token '%s', got '%s'", wanted, describe(token))
  end
  return self:next()
end

function Parser:expect_name(value)
  if not self:skip_name(value) then
    self:fail("expected token '%s', got '%s'", value, describe(self:current()))
  end
end

function Parser:node(kind, fields)
  fields = fields or {}
  fields.kind, fields.line = kind, self:current().line
  return fields
end

---Runs parse(self, …) one level deeper; too deep is an error.
function Parser:nested(parse, ...)
  self.depth = self.depth + 1
  if self.depth > max_depth then self:fail("nested more than %d deep", max_depth) end
  local node = parse(self, ...)
  self.depth = self.depth - 1
  return node
end

-- Operators -----------------------------------------------------------------------------------------------------

---@param without_if boolean?  no inline if at this level
function Parser:expression(without_if)
  return self:nested(without_if and self.either or self.conditional)
end

function Parser:conditional()
  local value = self:either()
  while self:is_name "if" do
    local node = self:node "cond"
    self:next()
    node.test, node.yes = self:either(), value
    if self:skip_name "else" then node.no = self:nested(self.conditional) end
    value = node
  end
  return value
end

-- Left-associative words; the node's kind is the word.
local function joined(word, stronger)
  return function(self)
    local left = self[stronger](self)
    while self:is_name(word) do
      local node = self:node(word)
      self:next()
      node.left, node.right = left, self[stronger](self)
      left = node
    end
    return left
  end
end

Parser.either = joined("or", "both")
Parser.both = joined("and", "negation")

function Parser:negation()
  if not self:is_name "not" then return self:comparison() end
  local node = self:node "not"
  self:next()
  node.value = self:nested(self.negation)
  return node
end

local comparisons = { ["=="] = "eq", ["!="] = "ne", ["<"] = "lt", ["<="] = "le", [">"] = "gt", [">="] = "ge" }

function Parser:comparison_operator()
  local operator = comparisons[self:current().type]
  if operator then
    self:next()
    return operator
  end
  if self:skip_name "in" then return "contains" end
  local after = self.tokens[self.at + 1]
  if self:is_name "not" and after and after.type == "name" and after.value == "in" then
    self:next()
    self:next()
    return "not_contains"
  end
end

function Parser:comparison()
  local node = self:node "compare"
  local first, rest = self:sum(), {}
  while true do
    local operator = self:comparison_operator()
    if not operator then break end
    rest[#rest + 1] = { operator = operator, value = self:sum() }
  end
  if #rest == 0 then return first end
  node.first, node.rest = first, rest
  return node
end

-- Left-associative operators of one strength.
local function binary(operators, stronger)
  return function(self)
    local left = self[stronger](self)
    while operators[self:current().type] do
      local node = self:node "binary"
      node.operator = operators[self:next().type]
      node.left, node.right = left, self[stronger](self)
      left = node
    end
    return left
  end
end

Parser.sum = binary({ ["+"] = "add", ["-"] = "sub" }, "concatenation")
Parser.product = binary({ ["*"] = "mul", ["/"] = "div", ["//"] = "floordiv", ["%"] = "mod" }, "power")
Parser.power = binary({ ["**"] = "pow" }, "unary")

function Parser:concatenation()
  local first = self:product()
  if not self:is "~" then return first end
  local node = self:node("concat", { first })
  while self:skip "~" do node[#node + 1] = self:product() end
  return node
end

function Parser:unary(without_filter)
  local value
  if self:is "-" or self:is "+" then
    value = self:node "unary"
    value.operator = self:next().type == "-" and "neg" or "pos"
    value.value = self:nested(self.unary, true)
  else
    value = self:primary()
  end
  value = self:postfix(value)
  return without_filter and value or self:filters_and_tests(value)
end

-- Values --------------------------------------------------------------------------------------------------------

local constants = { ["true"] = true, True = true, ["false"] = false, False = false }

function Parser:primary()
  local token = self:current()
  local node = self:node "const"
  if token.type == "name" then
    self:next()
    if constants[token.value] ~= nil then
      node.value = constants[token.value]
    elseif token.value == "none" or token.value == "None" then
      node.kind = "none"
    else
      node.kind, node.name = "name", token.value
    end
    return node
  elseif token.type == "string" then
    local parts = {}
    while self:is "string" do parts[#parts + 1] = self:next().value end
    node.value = table.concat(parts)
    return node
  elseif token.type == "integer" or token.type == "float" then
    node.value = self:next().value
    return node
  elseif token.type == "(" then
    self:next()
    node = self:tuple { explicit = true }
    self:expect ")"
    return node
  elseif token.type == "[" then
    return self:list()
  elseif token.type == "{" then
    return self:dict()
  end
  self:fail("unexpected '%s'", describe(token))
end

---Brackets with parts between commas, each read by part(); a comma may stand before the closing bracket.
function Parser:separated(opening, closing, part)
  self:expect(opening)
  local first = true
  while not self:is(closing) do
    if not first then self:expect "," end
    if self:is(closing) then break end
    first = false
    part()
  end
  self:expect(closing)
end

function Parser:list()
  local node = self:node "list"
  self:separated("[", "]", function() node[#node + 1] = self:expression() end)
  return node
end

function Parser:dict()
  local node = self:node "dict"
  self:separated("{", "}", function()
    local key = self:expression()
    self:expect ":"
    node[#node + 1] = { key = key, value = self:expression() }
  end)
  return node
end

---One expression, or several with commas: a tuple.
---@param o { explicit: boolean?, without_if: boolean?, ends: string? }  explicit: () is allowed; ends: a name after it
function Parser:tuple(o)
  local node, is_tuple = self:node "tuple", false
  while true do
    if #node > 0 then
      if not self:skip "," then break end
      is_tuple = true
    end
    local type = self:current().type
    if type == "variable_end" or type == "block_end" or type == ")" or o.ends and self:is_name(o.ends) then break end
    node[#node + 1] = self:expression(o.without_if)
  end
  if is_tuple then return node end
  if node[1] then return node[1] end
  if not o.explicit then self:fail("Expected an expression, got '%s'", describe(self:current())) end
  return node
end

-- What follows a value ------------------------------------------------------------------------------------------

local followers = { ["."] = "attribute", ["["] = "subscript", ["("] = "call" }

function Parser:postfix(value)
  local method = followers[self:current().type]
  while method do
    value = self[method](self, value)
    method = followers[self:current().type]
  end
  return value
end

function Parser:attribute(value)
  local node = self:node("attribute", { value = value })
  self:expect "."
  local token = self:next()
  if token.type == "name" then
    node.name = token.value
  elseif token.type == "integer" then
    node.kind, node.key = "item", { kind = "const", value = token.value, line = token.line }
  else
    self:fail("expected name or number")
  end
  return node
end

function Parser:subscript(value)
  local node = self:node("item", { value = value })
  self:expect "["
  local parts = { kind = "tuple", line = node.line }
  while not self:is "]" do
    if #parts > 0 then self:expect "," end
    parts[#parts + 1] = self:subscript_part()
  end
  if #parts == 0 then self:fail "expected subscript expression" end
  self:expect "]"
  if #parts > 1 then
    node.key = parts
  elseif parts[1].kind == "slice" then
    node = parts[1]
    node.value = value
  else
    node.key = parts[1]
  end
  return node
end

function Parser:subscript_part()
  local node = self:node "slice"
  if not self:is ":" then
    node.first = self:expression()
    if not self:is ":" then return node.first end
  end
  self:expect ":"
  if not (self:is ":" or self:is "]" or self:is ",") then node.last = self:expression() end
  if self:skip ":" and not (self:is "]" or self:is ",") then node.step = self:expression() end
  return node
end

---Arguments in parentheses: args, kwargs {name, value}, rest and keywords for *a and **k.
function Parser:arguments()
  local args = { args = {}, kwargs = {} }
  self:separated("(", ")", function()
    local following = self.tokens[self.at + 1]
    if self:skip "**" then
      args.keywords = self:expression()
    elseif self:skip "*" then
      args.rest = self:expression()
    elseif self:is "name" and following and following.type == "=" then
      local name = self:next().value
      self:next()
      args.kwargs[#args.kwargs + 1] = { name = name, value = self:expression() }
    else
      if #args.kwargs > 0 or args.rest or args.keywords then
        self:fail "invalid syntax for function call expression"
      end
      args.args[#args.args + 1] = self:expression()
    end
  end)
  return args
end

function Parser:call(value)
  local node = self:node("call", { value = value })
  node.arguments = self:nested(self.arguments)
  return node
end

function Parser:dotted_name()
  local name = self:expect("name").value
  while self:skip "." do name = name .. "." .. self:expect("name").value end
  return name
end

---One filter after its bar: name and arguments.
function Parser:filter(value)
  local node = self:node("filter", { value = value })
  node.name = self:dotted_name()
  node.arguments = self:is "(" and self:nested(self.arguments) or { args = {}, kwargs = {} }
  return node
end

local starts_argument = { name = true, string = true, integer = true, float = true, ["("] = true, ["["] = true,
  ["{"] = true }
local no_argument = { ["else"] = true, ["or"] = true, ["and"] = true }

function Parser:test(value)
  local node = self:node("test", { value = value })
  self:expect_name "is"
  node.negated = self:skip_name "not"
  node.name = self:dotted_name()
  node.arguments = { args = {}, kwargs = {} }
  local token = self:current()
  if token.type == "(" then
    node.arguments = self:nested(self.arguments)
  elseif starts_argument[token.type] and not (token.type == "name" and no_argument[token.value]) then
    if self:is_name "is" then self:fail "You cannot chain multiple tests with is" end
    node.arguments.args[1] = self:postfix(self:primary())
  end
  return node
end

function Parser:filters_and_tests(value)
  while true do
    if self:skip "|" then
      value = self:filter(value)
    elseif self:is_name "is" then
      value = self:test(value)
    elseif self:is "(" then
      value = self:call(value)
    else
      return value
    end
  end
end

return Parser
