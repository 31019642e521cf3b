-- What the executable says about itself: --help, --list, unknown options and recipes. Each function gives the exit status.
local help = require "sqlune.config.help"
local nearest = require "sqlune.config.nearest"
local term = require "sqlune.term"

local M = {}

local OPTIONS = { "--help", "--version", "--list", "--color" }

local USAGE = [[
usage: sqlune [options] script.lua [arguments]
       sqlune [options] RECIPE [arguments]     sqlune RECIPE --help says which
       sqlune                                  interactive, on a terminal

  --list           the recipes
  --help           this page
  --version        versions
  --color WHEN     auto, always or never
  -e TEXT          run the Lua TEXT
  -l NAME          require NAME into the global NAME (-l g=NAME: into g)
  -i               interactive after the script
  -v               print the version
  -E               ignore LUA_INIT, LUA_PATH and LUA_CPATH
  -W               show warnings
  -                run stdin as a script
  --               the script stands next

exit status: 0 fine, 1 an error, 2 wrong usage, 130 after ^C, 143 after SIGTERM
(lua exits 1 for wrong usage)
]]

local function complain(message)
  io.stderr:write("sqlune: ", message, "\n")
  return 2
end

local function doubt(message, near)
  return near and ("%s (did you mean '%s'?)"):format(message, near) or message
end

---Names of the shipped recipes, sorted.
---@return string[]
function M.recipes()
  local fs = require "sqlune.core".fs
  local names = {}
  for _, file in ipairs(fs.list(package.sqlune_home .. "/recipes") or {}) do
    names[#names + 1] = file:match "^([^.].*)%.lua$"
  end
  return names
end

---Prints the recipes with their first comments.
---@return integer status
function M.list()
  local left, names = 0, M.recipes()
  for _, name in ipairs(names) do left = math.max(left, #name + 4) end
  for _, name in ipairs(names) do
    local head = "  " .. name .. (" "):rep(left - #name - 2)
    for _, line in ipairs(term.wrap(help.first_comment(name), 80 - left)) do
      io.write(head, line, "\n")
      head = (" "):rep(left)
    end
  end
  if #names == 0 then return complain("no recipes in " .. package.sqlune_home) end
  return 0
end

---Prints the usage.
---@return integer status
function M.help()
  io.write(USAGE)
  return 0
end

---@param mode string
---@return integer status
function M.color(mode)
  if not pcall(term.set_color, mode) then
    return complain("--color wants auto, always or never, not '" .. mode .. "'")
  end
  return 0
end

---@param option string
---@return integer status
function M.unknown_option(option)
  local near = option:sub(1, 2) == "--" and nearest.find(option, OPTIONS) or nil
  local message = doubt(("unknown option '%s'"):format(option), near)
  return complain(near and message or message .. "; sqlune --help lists them")
end

---@param option string
---@return integer status
function M.lacking_value(option)
  return complain(("'%s' needs a value; sqlune --help lists the options"):format(option))
end

---@param name string
---@return integer status
function M.unknown_recipe(name)
  local near = nearest.find(name, M.recipes())
  local message = doubt(("no recipe and no file '%s'"):format(name), near)
  return complain(near and message or message .. "; sqlune --list names the recipes")
end

return M
