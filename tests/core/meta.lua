-- The stubs in lua/sqlune/meta say what C provides: every function of a module stands in its stub, and nothing else.
local core = require "sqlune.core"
local t = require "tests.check"
local home = require("package").sqlune_home

local function stub_of(name)
  local path = ("%s/lua/sqlune/meta/%s.lua"):format(home, name)
  local file = t.ok(io.open(path))
  local text = file:read "a"
  file:close()
  t.ok(text:find "^%-%-%-@meta\n", path .. " does not begin with ---@meta")
  return t.ok(t.ok(loadfile(path))(), path .. " does not return its table"), text
end

local function functions(module)
  local names = {}
  for name, value in pairs(module) do
    if type(value) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---The comment above a function of the stub must begin with a line of text: the REPL's ?name shows it.
local function described(text, name)
  local before = ""
  for line in text:gmatch "[^\n]*" do
    if line:find("function " .. name .. "(", 1, true) then return before ~= "" end
    if line:find "^%-%-%-" then
      if before == "" and not line:find "^%-%-%-@" then before = line end
    else
      before = ""
    end
  end
  return false
end

local cases = {}
for name, module in pairs(core) do
  if type(module) == "table" and next(module) ~= nil then
    cases["sq." .. name .. " is what its stub says"] = function()
      local stub, text = stub_of(name)
      t.eq(functions(module), functions(stub))
      for _, one in ipairs(functions(stub)) do
        t.ok(described(text, name .. "." .. one), ("%s.%s has no description"):format(name, one))
      end
    end
  end
end
return cases
