-- Database servers for tests: started when the first test asks, in a temporary folder, as an unprivileged user, on a
-- socket and a free port of the loopback address; gone when this process is, however it ends.
--
-- Rules: `servers.NAME()` gives a connection table of a role that may read everything and write nothing; the server is
-- shared by tests that run one after another, which make databases of their own in it: each lane of tests/run.lua has
-- its own. Set-up goes through `servers.script`, as the server's owner. Where the server's programs are missing the
-- test is skipped.
local sq = require "sqlune"
local t = require "tests.check"

local M = {}

local shared = {} ---@type table<string, table>  by dialect
local run = os.getenv "SQLUNE_RUN" -- folder of a run of several processes

---One line of a shell command's output.
---@param command string
---@return string?
function M.line(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "l"
  pipe:close()
  return line
end

---A word for the shell.
function M.quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

---The number of this process.
function M.pid() return tonumber(M.line "echo $PPID") end

---What runs a program as somebody without rights; "" where we are somebody like that.
function M.unprivileged()
  if M.line "id -u" ~= "0" then return "" end
  return "setpriv --reuid=nobody --regid=nogroup --clear-groups "
end

---A folder that the unprivileged user owns. Short: the path of a socket holds 107 bytes.
function M.folder()
  local folder = assert(M.line "mktemp -d /tmp/sqlune-XXXXXX")
  if M.unprivileged() ~= "" then assert(os.execute("chown nobody:nogroup " .. folder)) end
  return folder
end

---A port that nobody listens on.
function M.port()
  local taken = {}
  for _, path in ipairs { "/proc/net/tcp", "/proc/net/tcp6" } do
    local file = io.open(path)
    for line in file and file:lines() or function() end do
      taken[tonumber(line:match ":(%x%x%x%x) " or "0", 16)] = true
    end
    if file then file:close() end
  end
  local port = 20000 + M.pid() * 7 % 9973
  while taken[port] do port = port + 1 end
  return port
end

---Starts a command in the background whose end is tied to ours (or to that of another process): a watcher waits for it,
---then kills the command and removes its folder. The command's output goes to folder/log. Gives its process number.
---@param command string
---@param folder string
---@param owner integer?
function M.spawn(command, folder, owner)
  local watch = ([[%s & server=$!; echo $server >%s/pid; tail -s 0.1 --pid=%d -f /dev/null
    kill -INT $server; for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $server || break; sleep 0.1; done
    kill -KILL $server; rm -rf %s]]):format(command, folder, owner or M.pid(), folder)
  assert(os.execute(("setsid sh -c %s >%s/log 2>&1 </dev/null &"):format(M.quoted(watch), folder)))
  return tonumber(M.line(("while [ ! -s %s/pid ]; do sleep 0.02; done; cat %s/pid"):format(folder, folder)))
end

---Waits until the shell command succeeds; false after the seconds.
function M.wait(command, seconds)
  return os.execute(("for i in $(seq %d); do %s >/dev/null 2>&1 && exit 0; sleep 0.05; done; exit 1"):format(
    seconds * 20, command)) == true
end

local function copy(connection)
  local out = {}
  for key, value in pairs(connection) do out[key] = value end
  return out
end

---The server of this lane, which one of its processes started or this one does; it lives as long as the whole run.
local function start(dialect)
  local path = run and ("%s/%s-%s.json"):format(run, dialect, os.getenv "SQLUNE_LANE")
  if path and sq.fs.exists(path) then return sq.json.read(path) end
  local server = require("tests.servers." .. dialect).start(math.tointeger(os.getenv "SQLUNE_RUN_PID")) or false
  if path then assert(sq.json.write(path, server)) end
  return server
end

---The connection table of the shared server of a dialect, after starting it; another database of it if named.
local function connection(dialect, database)
  local server = shared[dialect]
  if server == nil then
    server = start(dialect)
    shared[dialect] = server
  end
  if not server then t.skip("no server for " .. dialect .. " is installed") end
  local out = copy(server.connection)
  out.database = database or out.database
  return out
end

---The shared server of a dialect itself: `connection`, `folder`, `port`, `pid`, `certificate`.
function M.server(dialect)
  connection(dialect)
  return shared[dialect]
end

---@param database string?
function M.postgresql(database) return connection("postgresql", database) end

---@param database string?
function M.mysql(database) return connection("mysql", database) end

---Runs trusted statements as the server's owner, through its own client; raises what that says.
---@param to table        a connection table
---@param text string     any number of statements
function M.script(to, text) return require("tests.servers." .. to.dialect).script(to, text) end

---A connection table of a new database filled by a script; one with this name goes first.
---@param dialect string
---@param name string
---@param script string
---@param settings table<string, string>?  of the new database
function M.new(dialect, name, script, settings)
  require("tests.servers." .. dialect).create(connection(dialect), name, settings)
  local new = connection(dialect, name)
  M.script(new, script)
  return new
end

---The output of a shell command fed with a text; raises it if the command fails.
function M.feed(command, text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local pipe = assert(io.popen(("%s <%s 2>&1"):format(command, path)))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(path)
  if not ok then error(output, 3) end
  return output
end

return M
