-- Passwords do not leave the program: what is printed, logged, or saved with a run goes through here.
local M = {}

local HIDDEN = "***"

---The text with the password of every URL in it (scheme://user:password@…) hidden.
---@param text string
---@return string
function M.hide(text)
  return (text:gsub("([%w+.-]+://[^/@:%s]*):([^@%s]*)@", "%1:" .. HIDDEN .. "@"))
end

---Whether a setting of this name holds a secret.
---@param name any
---@return boolean
function M.is_secret(name)
  return type(name) == "string" and (name:lower():find "password" or name:lower():find "secret"
    or name:lower():find "api_key") ~= nil
end

---A value as it may be shown: strings with URLs hidden, and all of what stands under the name of a secret.
---@param value any
---@param name? any  under which it stands
---@return any
function M.shown(value, name)
  if type(value) == "string" then return M.is_secret(name) and value ~= "" and HIDDEN or M.hide(value) end
  return value
end

return M
