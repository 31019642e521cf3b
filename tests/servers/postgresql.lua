-- A PostgreSQL server for tests: trust on its socket, passwords (scram) on its port, TLS where openssl can make a
-- certificate. Roles: postgres (the owner), reader (password "reader's secret"; reads everything).
local servers = require "tests.servers"

local M = {}

---Where the server's programs are.
local function programs()
  return servers.line "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1"
end

local server_settings = {
  "fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0",
  "shared_buffers=64MB", "max_connections=60", "listen_addresses=127.0.0.1", "autovacuum=off",
}

---A certificate for "localhost" that signs itself, in folder/data; false without openssl.
local function certify(folder)
  local data = folder .. "/data"
  return os.execute(([[command -v openssl >/dev/null && cd %s && %sopenssl req -x509 -newkey ec -pkeyopt
    ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost
    -keyout server.key -out server.crt >/dev/null 2>&1]]):gsub("\n%s*", " "):format(data, servers.unprivileged()))
end

local function command(server)
  local list = {}
  for _, one in ipairs(server_settings) do list[#list + 1] = "-c " .. one end
  if server.tls then list[#list + 1] = "-c ssl=on" end
  return ("%s%s/postgres -D %s/data -k %s -p %d %s"):format(servers.unprivileged(), server.programs, server.folder,
    server.folder, server.port, table.concat(list, " "))
end

---Starts a server of its own; nil where PostgreSQL is not installed. `connection`: a connection table; `folder`, `port`
---and `pid` of its process; `certificate`: a file, where TLS is on. It ends with the owner, by default this process.
---@param owner integer?
---@return table?
function M.start(owner)
  local bin = programs()
  if not bin then return nil end
  local folder = servers.folder()
  local server = { programs = bin, folder = folder, port = servers.port() }
  local log = folder .. "/initdb.log"
  local made = os.execute(("cd %s && %s%s/initdb -D %s/data -U postgres --auth-local=trust "
    .. "--auth-host=scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions >%s 2>&1"):format(folder,
    servers.unprivileged(), bin, folder, log))
  if not made then error("initdb: " .. servers.line("tail -n 3 " .. log .. " | tr '\\n' ' '")) end
  server.tls = certify(folder)
  if server.tls then server.certificate = folder .. "/data/server.crt" end
  server.pid = servers.spawn(command(server), folder, owner)
  server.connection = { dialect = "postgresql", socket = folder, port = server.port, user = "reader",
    password = "reader's secret", database = "postgres" }
  M.ready(server)
  M.script(server.connection, "CREATE ROLE reader LOGIN PASSWORD 'reader''s secret'; "
    .. "GRANT pg_read_all_data TO reader;")
  return server
end

---Waits until the server answers.
function M.ready(server)
  if servers.wait(("%s/pg_isready -h %s -p %d"):format(server.programs, server.folder, server.port), 20) then return end
  error("the server does not start: " .. tostring(servers.line("tail -n 1 " .. server.folder .. "/log")))
end

---Kills the server at once, as a power cut would, or by another signal.
function M.kill(server, signal)
  os.execute(("kill -%s %d"):format(signal or "QUIT", server.pid))
end

---Starts a killed server again, in its folder.
function M.again(server)
  servers.wait("! kill -0 " .. server.pid, 10)
  os.remove(server.folder .. "/pid")
  server.pid = servers.spawn(command(server), server.folder)
  M.ready(server)
end

---Makes an empty database anew.
function M.create(to, name, settings)
  M.script(to, ('DROP DATABASE IF EXISTS "%s" WITH (FORCE)'):format(name))
  M.script(to, ('CREATE DATABASE "%s" TEMPLATE template0'):format(name))
  for key, value in pairs(settings or {}) do
    M.script(to, ('ALTER DATABASE "%s" SET %s = \'%s\''):format(name, key, value))
  end
end

function M.script(to, text)
  local client = ("PGOPTIONS=--client-min-messages=warning %s/psql -X -q -v ON_ERROR_STOP=1 -h %s -p %d -U postgres "
    .. "-d %s -A -t"):format(programs(), to.socket, to.port, servers.quoted(to.database))
  return servers.feed(client, text)
end

return M
