-- The original's M-Schema of databases, for mschema.lua and mschema_postgresql.lua: mschema_peer.py, run and timed.
local sq = require "sqlune"

---@param python string    has the original's packages
---@param original string  its XiYan-SQLTraining/data
---@param urls string[]    as SQLAlchemy writes them
---@param rounds integer
---@param whole fun(command: string) is called with a command that reads everything once, as a whole process
---@return number seconds  of its databases part, median
---@return string text     what it printed last
return function(python, original, urls, rounds, whole)
  local file, list = os.tmpname(), os.tmpname()
  assert(sq.fs.write(list, table.concat(urls, "\n") .. "\n"))
  local command = ("%s tests/bench/mschema_peer.py %s %%d %s %s"):format(python, original, file, list)
  local pipe = assert(io.popen(command:format(rounds + 1)))
  local times = {}
  for line in pipe:lines() do times[#times + 1] = tonumber(line) end
  assert(pipe:close())
  table.remove(times, 1) -- warms up
  table.sort(times)
  whole(command:format(1) .. " >/dev/null")
  local text = assert(sq.fs.read(file))
  os.remove(file)
  os.remove(list)
  return times[(rounds + 1) // 2], text
end
