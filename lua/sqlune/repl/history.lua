-- The history of the REPL: $XDG_STATE_HOME/sqlune/history, one entry a line, new lines in an entry written as \n.
local fs = require "sqlune.core".fs
local sys = require "sqlune.core".sys

local M = {}

local ENTRIES = 2000 -- as many as the editor keeps

local History = {}
History.__index = History

---The file; nil without a home.
---@return string?
function M.path()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if not state or state == "" then
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  return state .. "/sqlune/history"
end

local function escape(entry) return (entry:gsub("\\", "\\\\"):gsub("\n", "\\n")) end

local function unescape(line)
  return (line:gsub("\\(.)", function(c) return c == "n" and "\n" or c end))
end

---Reads the file and tells the editor its entries. Adding goes on even where nothing can be written.
---@param host table  with remember
---@return table history
function M.open(host)
  local self = setmetatable({ host = host }, History)
  local path = M.path()
  if not path or not sys.isatty(0) then return self end
  local text = fs.read(path) or ""
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  if #lines > 2 * ENTRIES then
    lines = table.move(lines, #lines - ENTRIES + 1, #lines, 1, {})
    fs.write(path, table.concat(lines, "\n") .. "\n")
  end
  for i = math.max(1, #lines - ENTRIES + 1), #lines do host.remember(unescape(lines[i])) end
  self.last = lines[#lines]
  if fs.mkdir(fs.dirname(path)) then self.file = io.open(path, "a") end
  return self
end

---Remembers an entry, whole, unless it is the last one again.
---@param entry string
function History:add(entry)
  local line = escape(entry)
  if line == self.last then return end
  self.last = line
  self.host.remember(entry)
  if self.file then self.file:write(line, "\n"):flush() end
end

function History:__close()
  if self.file then self.file:close() end
end

return M
