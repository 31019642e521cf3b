-- sqlune: everything a recipe uses, loaded on first touch: sq.data is require "sqlune.data", sq.tokenizer comes from C.
local core = require "sqlune.core"

local sq = { _VERSION = "sqlune 0.1" }

-- What the tensor module makes stands at the top: sq.tensor{…}, sq.zeros{…}, sq.scope(), sq.no_grad(fn) …
for name, fn in pairs(core.tensor) do sq[name] = fn end

---Loads a part of the library on first use: a module of C, or lua/sqlune/<name>.lua.
local function load_part(self, name)
  local part = core[name]
  if part == nil and package.searchpath("sqlune." .. name, package.path) then part = require("sqlune." .. name) end
  rawset(self, name, part)
  return part
end

return setmetatable(sq, { __index = load_part })
