-- sqlune: everything a recipe uses, loaded on first touch: sq.data is require "sqlune.data", sq.tokenizer comes from C.
local core = require "sqlune.core"

local sq = { _VERSION = "sqlune 0.1" }

---Loads a part of the library on first use: a module of C, or lua/sqlune/<name>.lua.
local function load_part(self, name)
  local part = core[name]
  if part == nil and package.searchpath("sqlune." .. name, package.path) then part = require("sqlune." .. name) end
  rawset(self, name, part)
  return part
end

return setmetatable(sq, { __index = load_part })
