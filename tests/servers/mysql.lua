-- A MariaDB server for tests: no password for root on its socket, passwords on its port, TLS where openssl can make a
-- certificate. Users: root (the owner), reader (password "reader's secret"; reads everything), writer (the same
-- password; may do everything that a grant can allow).
local servers = require "tests.servers"

local M = {}

local settings = {
  "--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin", "--max-connections=100",
  "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
  "--innodb-doublewrite=0", "--innodb-flush-method=nosync", "--key-buffer-size=4M",
  "--aria-pagecache-buffer-size=8M", "--performance-schema=0", "--character-set-server=utf8mb4",
  "--collation-server=utf8mb4_general_ci", "--default-time-zone=+00:00", "--max-allowed-packet=16M",
}

local function program(...)
  for _, name in ipairs { ... } do
    local path = servers.line(("PATH=$PATH:/usr/sbin:/usr/local/sbin command -v %s"):format(name))
    if path then return path end
  end
end

---A certificate for "localhost" that signs itself; false without openssl.
local function certify(folder)
  return os.execute(([[command -v openssl >/dev/null && cd %s && %sopenssl req -x509 -newkey rsa:2048 -nodes -days 30
    -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.crt
    >/dev/null 2>&1]]):gsub("\n%s*", " "):format(folder, servers.unprivileged()))
end

local function command(server)
  local list = { table.concat(settings, " ") }
  if server.certificate then
    list[2] = ("--ssl-cert=%s --ssl-key=%s/server.key"):format(server.certificate, server.folder)
  end
  return ("%s%s %s --datadir=%s/data --tmpdir=%s --socket=%s --port=%d --pid-file=%s/mariadbd.pid"):format(
    servers.unprivileged(), server.program, table.concat(list, " "), server.folder, server.folder,
    server.connection.socket, server.port, server.folder)
end

---Starts a server of its own; nil where MariaDB is not installed. `connection`: a connection table; `folder`, `port`
---and `pid` of its process; `certificate`: a file, where TLS is on. It ends with the owner, by default this process.
---@param owner integer?
---@return table?
function M.start(owner)
  local install, daemon = program("mariadb-install-db", "mysql_install_db"), program("mariadbd", "mysqld")
  if not install or not daemon or not program("mariadb", "mysql") then return nil end
  local folder = servers.folder()
  local log = folder .. "/install.log"
  local server = { program = daemon, folder = folder, port = servers.port() }
  local made = os.execute(("cd %s && HOME=%s %s%s --no-defaults --datadir=%s/data --skip-test-db "
    .. "--auth-root-authentication-method=normal --innodb-flush-method=nosync --innodb-log-file-size=8M "
    .. "--tmpdir=%s >%s 2>&1"):format(folder, folder, servers.unprivileged(), install, folder, folder, log))
  if not made then error("mariadb-install-db: " .. servers.line("tail -n 3 " .. log .. " | tr '\\n' ' '")) end
  if certify(folder) then server.certificate = folder .. "/server.crt" end
  server.connection = { dialect = "mysql", socket = folder .. "/socket", port = server.port, user = "reader",
    password = "reader's secret", database = "mysql" }
  server.pid = servers.spawn(command(server), folder, owner)
  M.ready(server)
  M.script(server.connection, [[
    CREATE USER reader@'%' IDENTIFIED BY 'reader''s secret';
    GRANT SELECT, SHOW VIEW, SHOW DATABASES, EXECUTE ON *.* TO reader@'%';
    CREATE USER writer@'%' IDENTIFIED BY 'reader''s secret';
    GRANT ALL ON *.* TO writer@'%';]])
  return server
end

---Waits until the server answers.
function M.ready(server)
  local ping = ("%s --no-defaults -u root -S %s -e 'SELECT 1'"):format(program("mariadb", "mysql"),
    server.connection.socket)
  if servers.wait(ping, 30) then return end
  error("the server does not start: " .. tostring(servers.line("tail -n 1 " .. server.folder .. "/log")))
end

---Kills the server at once, as a power cut would, or by another signal.
function M.kill(server, signal) os.execute(("kill -%s %d"):format(signal or "KILL", server.pid)) end

---Starts a killed server again, in its folder.
function M.again(server)
  servers.wait("! kill -0 " .. server.pid, 10)
  os.remove(server.folder .. "/pid")
  server.pid = servers.spawn(command(server), server.folder)
  M.ready(server)
end

---A new database; one with this name goes first. Names compare by their bytes, as in SQLite.
function M.create(to, name)
  M.script(to, ("DROP DATABASE IF EXISTS `%s`; CREATE DATABASE `%s` COLLATE utf8mb4_bin"):format(name, name))
end

function M.script(to, text)
  local client = ("%s --no-defaults --batch --skip-column-names -u root -S %s %s"):format(program("mariadb", "mysql"),
    to.socket, servers.quoted(to.database))
  return servers.feed(client, text)
end

return M
