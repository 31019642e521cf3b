-- Jinja templates as transformers sets them up for chat: source in, a function of variables out.
local parser = require "sqlune.jinja.parser"
local statements = require "sqlune.jinja.statements"
local globals = require "sqlune.jinja.globals"
local values = require "sqlune.jinja.values"
local errors = require "sqlune.jinja.errors"

local M = {}

---@class sqlune.jinja.Rendering
---@field text string
---@field generations integer[][]  {first, last} of each {% generation %} block: code points from 0, last excluded

-- Runs f; an error of a template comes back as nil, error. Other errors (out of memory, an interrupt) go on. Lua's own
-- stack overflows only on lists that a template nests thousands deep and then prints.
local function guarded(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if errors.is(result) then return nil, result end
  if type(result) == "string" and result:find("stack overflow", 1, true) then
    return nil, errors.new("RecursionError", "values nested too deep")
  end
  error(result, 0)
end

---@class sqlune.jinja.Template
---@field private run function
local Template = {}
Template.__index = Template

---Renders with variables: Lua values, plain or as json.decode gives them. json.null is None; the absent is undefined.
---@param variables table<string, any>
---@param now nil|number|string  clock of strftime_now: seconds, or local time as "2025-07-04T09:05:03" (default now)
---@return sqlune.jinja.Rendering?, sqlune.jinja.Error?
function Template:render(variables, now)
  local rt = { out = {}, generations = {}, measured = 0, length = 0, depth = 0, now = now }
  rt.root = rt.out
  local done, err = guarded(function()
    local context = { globals }
    for name, value in pairs(variables) do context[name] = values.from_lua(value) end
    self.run(rt, { context })
    return { text = table.concat(rt.out), generations = rt.generations }
  end)
  if err then err.line = err.line or rt.line end
  return done, err
end

---@param source string
---@return sqlune.jinja.Template?, sqlune.jinja.Error?
function M.compile(source)
  return guarded(function()
    local run = statements.body({ soft = 0, loops = 0 }, parser.parse(source))
    return setmetatable({ run = run }, Template)
  end)
end

return M
