-- Data of recipes: sq.data.NAME is lua/sqlune/data/NAME.lua, loaded on first use.
return setmetatable({}, {
  __index = function(self, name)
    local module = "sqlune.data." .. name
    if not package.searchpath(module, package.path) then return nil end
    local part = require(module)
    rawset(self, name, part)
    return part
  end,
})
