-- Errors of templates: objects with Python's class name, the bare message and the template's line.
local M = {}

---@class sqlune.jinja.Error
---@field class string    "TemplateError", "TypeError", "UndefinedError", "TemplateSyntaxError" …
---@field message string  the words alone
---@field line integer?   line of the template
local Error = {}
Error.__index = Error

function Error:__tostring()
  local at = self.line and ("line " .. self.line .. ": ") or ""
  if self.class == "TemplateError" or self.class == "TemplateSyntaxError" then return at .. self.message end
  return at .. self.class .. ": " .. self.message
end

---@return sqlune.jinja.Error
function M.new(class, message) return setmetatable({ class = class, message = message }, Error) end

---Raises an error of a template. The format is used only if arguments follow.
---@param class string
---@param format string
function M.raise(class, format, ...)
  local message = select("#", ...) > 0 and format:format(...) or format
  error(M.new(class, message), 0)
end

---@param line integer
function M.syntax(line, format, ...)
  local message = select("#", ...) > 0 and format:format(...) or format
  error(setmetatable({ class = "TemplateSyntaxError", message = message, line = line }, Error), 0)
end

---@return boolean
function M.is(e)
  return getmetatable(e) == Error
end

return M
