-- Parses templates: text, {{ }} and the statements of {% %}. The nodes of expressions are made in expressions.lua.
local lexer = require "sqlune.jinja.lexer"
local Parser = require "sqlune.jinja.expressions"

local M = {}

local statements = {}

local function quoted_list(names)
  local out = {}
  for i, name in ipairs(names) do out[i] = "'" .. name .. "'" end
  return table.concat(out, " or ")
end

-- The tag at hand is not one that may stand here.
function Parser:unknown_tag(name)
  local open = self.open[#self.open]
  if not open then
    if not name then self:fail "Unexpected end of template." end
    self:fail("Encountered unknown tag '%s'.", name)
  end
  self:fail("%s Jinja was looking for the following tags: %s. The innermost block that needs to be closed is '%s'.",
    name and ("Encountered unknown tag '%s'."):format(name) or "Unexpected end of template.",
    quoted_list(open.ends), open.tag)
end

-- Statements up to one of the tags `ends`, whose name is consumed and given back; the rest of that tag is not.
---@param ends string[]?  nil: to the end of the template
function Parser:body(tag, ends)
  local body = self:node "body"
  if ends then self.open[#self.open + 1] = { tag = tag, ends = ends } end
  while not self:is "eof" do
    local token = self:next()
    if token.type == "data" then
      body[#body + 1] = { kind = "text", value = token.value, line = token.line }
    elseif token.type == "variable_begin" then
      local node = self:node "output"
      node.value = self:tuple {}
      self:expect "variable_end"
      body[#body + 1] = node
    else
      for _, name in ipairs(ends or {}) do
        if self:skip_name(name) then
          self.open[#self.open] = nil
          return body, name
        end
      end
      body[#body + 1] = self:nested(self.statement)
      self:expect "block_end"
    end
  end
  if ends then self:unknown_tag() end
  return body
end

function Parser:statement()
  local token = self:current()
  if token.type ~= "name" then self:fail "tag name expected" end
  local parse = statements[token.value]
  if not parse then self:unknown_tag(token.value) end
  local node = self:node(token.value)
  self:next()
  parse(self, node)
  return node
end

-- The rest of an opening tag, then the body up to {% end… %}.
function Parser:rest_of_block(node)
  self:expect "block_end"
  node.body = self:body(node.kind, { "end" .. node.kind })
end

-- Targets -------------------------------------------------------------------------------------------------------

local reserved = { ["true"] = true, ["false"] = true, none = true, True = true, False = true, None = true }

function Parser:target_item(with_attribute)
  if self:skip "(" then
    local node = self:target(with_attribute)
    self:expect ")"
    return node
  end
  local node = self:node "name"
  if not self:is "name" then self:fail("can't assign to '%s'", self:current().type) end
  node.name = self:next().value
  if reserved[node.name] then self:fail "can't assign to 'const'" end
  if with_attribute and self:skip "." then
    node.kind, node.attribute = "namespace_attribute", self:expect("name").value
  end
  return node
end

---A name, a namespace's attribute (if allowed), or several with commas.
function Parser:target(with_attribute)
  local first = self:target_item(with_attribute)
  if not self:is "," then return first end
  local node = self:node("tuple", { first })
  while self:skip "," do
    if self:is "=" or self:is ")" or self:is "block_end" or self:is_name "in" then break end
    node[#node + 1] = self:target_item(with_attribute)
  end
  return node
end

-- Statements ----------------------------------------------------------------------------------------------------

statements["if"] = function(self, node)
  node.test = self:tuple { without_if = true }
  self:expect "block_end"
  local tag
  node.body, tag = self:body("if", { "elif", "else", "endif" })
  if tag == "elif" then
    local inner = self:node "if"
    self:nested(statements["if"], inner)
    node.no = { kind = "body", line = inner.line, inner }
  elseif tag == "else" then
    self:expect "block_end"
    node.no = self:body("if", { "endif" })
  end
end

statements["for"] = function(self, node)
  node.target = self:target()
  if node.target.name == "loop" then self:fail "can't assign to special loop variable in for-loop target" end
  self:expect_name "in"
  node.items = self:tuple { without_if = true, ends = "recursive" }
  if self:skip_name "if" then node.test = self:expression() end
  node.recursive = self:skip_name "recursive"
  self:expect "block_end"
  local tag
  node.body, tag = self:body("for", { "else", "endfor" })
  if tag == "else" then
    self:expect "block_end"
    node.no = self:body("for", { "endfor" })
  end
end

function statements.set(self, node)
  node.target = self:target(true)
  if self:skip "=" then
    node.value = self:tuple {}
    return
  end
  node.kind = "set_block"
  node.filters = {}
  while self:skip "|" do node.filters[#node.filters + 1] = self:filter() end
  self:expect "block_end"
  node.body = self:body("set", { "endset" })
end

function Parser:signature(node)
  node.parameters = {}
  self:expect "("
  while not self:is ")" do
    if #node.parameters > 0 then self:expect "," end
    if self:is ")" then break end
    local parameter = { name = self:expect("name").value }
    if reserved[parameter.name] then self:fail "can't assign to 'const'" end
    if self:skip "=" then
      parameter.default = self:expression()
    elseif #node.parameters > 0 and node.parameters[#node.parameters].default then
      self:fail "non-default argument follows default argument"
    end
    node.parameters[#node.parameters + 1] = parameter
  end
  self:expect ")"
end

function statements.macro(self, node)
  node.name = self:expect("name").value
  self:signature(node)
  self:rest_of_block(node)
end

function statements.call(self, node)
  node.parameters = {}
  if self:is "(" then self:signature(node) end
  node.value = self:expression()
  if node.value.kind ~= "call" then self:fail "expected call" end
  self:rest_of_block(node)
end

function statements.filter(self, node)
  node.filters = { self:filter() }
  while self:skip "|" do node.filters[#node.filters + 1] = self:filter() end
  self:rest_of_block(node)
end

statements["with"] = function(self, node)
  node.names, node.values = {}, {}
  while not self:is "block_end" do
    if #node.names > 0 then self:expect "," end
    node.names[#node.names + 1] = self:target()
    self:expect "="
    node.values[#node.values + 1] = self:expression()
  end
  self:rest_of_block(node)
end

function statements.generation(self, node) self:rest_of_block(node) end

function statements.print(self, node)
  node.kind = "prints"
  while not self:is "block_end" do
    if #node > 0 then self:expect "," end
    node[#node + 1] = self:expression()
  end
end

statements["break"] = function() end

statements["continue"] = function() end

for _, name in ipairs { "include", "import", "from", "extends", "block", "autoescape" } do
  statements[name] = function(self)
    self:fail("{%% %s %%} has no place in a chat template: there are no other templates here", name)
  end
end

---@param source string
---@return table  # a node of kind "body"
function M.parse(source)
  local parser = setmetatable({ tokens = lexer.tokens(source), at = 1, depth = 0, open = {} }, Parser)
  return (parser:body())
end

return M
