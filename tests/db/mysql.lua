-- MySQL and MariaDB connections: what they read, what they refuse, when they stop.
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"

---A connection to a database of its own, made by a script; `change` changes the connection table.
local function opened(name, script, change)
  local at = servers.mysql()
  servers.script(at, ("DROP DATABASE IF EXISTS %s; CREATE DATABASE %s; USE %s; %s"):format(name, name, name,
    script or ""))
  at.database = name
  for key, value in pairs(change or {}) do at[key] = value end
  return assert(sq.db.open(at)), at
end

---Expects nil, a message that matches, and the code.
local function refused(code, pattern, ok, message, got)
  t.eq(ok, nil)
  t.eq(got, code, message)
  t.ok(message:find(pattern), message)
end

local function value(db, sql) return assert(db:query(sql)).rows[1][1] end

return {
  ["values of every type"] = function()
    local db <close> = opened("my_values", [[
      CREATE TABLE v (i INT, u BIGINT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(20,4), t TEXT, b BLOB, x BIT(9), da DATE,
        ti TIME(3), dt DATETIME(6), ts TIMESTAMP NULL, y YEAR, e ENUM('a','b'), s SET('a','b'), j JSON, g POINT);
      SET sql_mode = '';
      INSERT INTO v VALUES (-1, 18446744073709551615, 0.1, 1e300, 12.5, 'grö\0ße', 0x00ff, b'100000001', '2024-02-29',
        '-25:30:00.5', '2024-01-31 12:30:00.25', '2024-01-31 12:30:00', 2024, 'b', 'a,b', '{"a": 1}', NULL),
        (NULL, 7, NULL, NULL, NULL, '', '', NULL, '0000-00-00', '838:59:59', '2020-01-00 00:00:00', NULL, 0, NULL, '',
        NULL, NULL);]])
    local rows = assert(db:query "SELECT * FROM v").rows
    t.eq(rows[1], { -1, "18446744073709551615", 0.1, 1e300, "12.5000", "grö\0ße", { blob = "\0\xff" },
      { blob = "\1\1" }, "2024-02-29", "-2 days, 22:29:59.500000", "2024-01-31 12:30:00.250000",
      "2024-01-31 12:30:00", 2024, "b", "a,b", '{"a": 1}', sq.json.null })
    t.eq(rows[2], { sq.json.null, 7, sq.json.null, sq.json.null, sq.json.null, "", { blob = "" }, sq.json.null,
      "0000-00-00", "34 days, 22:59:59", "2020-01-00 00:00:00.000000", sq.json.null, 0, sq.json.null, "", sq.json.null,
      sq.json.null })
    t.eq(math.type(rows[1][1]), "integer")
    t.eq(value(db, "SELECT SUM(i) FROM v"), "-1")
    t.eq(assert(db:query "SELECT 1 AS `größe`, 2").columns, { "größe", "2" })
    t.eq(#assert(db:query "SELECT * FROM v WHERE i = 99").rows, 0)
    t.ok(#assert(db:query "SHOW TABLES").rows == 1)
    t.ok(#assert(db:query "EXPLAIN SELECT * FROM v").rows == 1)
    t.ok(#assert(db:query "DESCRIBE v").rows == 17)
    t.eq(assert(db:query "(SELECT 1) UNION (SELECT 2) ORDER BY 1").rows, { { 1 }, { 2 } })
    t.eq(assert(db:query "WITH a AS (SELECT 1 AS x) SELECT x FROM a; -- done").rows, { { 1 } })
    t.eq(assert(db:query "VALUES (1), (2)").rows, { { 1 }, { 2 } })
  end,

  ["a statement leaves nothing in the session"] = function()
    local db <close> = opened "my_session"
    t.eq(value(db, "SELECT @x := 5"), 5)
    t.eq(value(db, "SELECT @x"), sq.json.null)
    t.eq(value(db, "SELECT LAST_INSERT_ID(77)"), 77)
    t.eq(value(db, "SELECT LAST_INSERT_ID()"), 0)
    t.eq(value(db, "SELECT @@session.character_set_client"), "utf8mb4")
    t.eq(value(db, "SELECT 'größe 😀'"), "größe 😀")
    t.eq(value(db, "SELECT @@in_transaction"), 1)
    t.eq(value(db, "SELECT DATABASE()"), "my_session")
  end,

  ["quotes as the server's sql_mode has them"] = function()
    local at = servers.mysql()
    local function with_mode(mode, judge)
      servers.script(at, ("SET GLOBAL sql_mode = '%s'"):format(mode))
      local ok, message = pcall(function()
        local db <close> = assert(sq.db.open(at))
        judge(db)
      end)
      servers.script(at, "SET GLOBAL sql_mode = DEFAULT")
      if not ok then error(message, 0) end
    end
    with_mode("NO_BACKSLASH_ESCAPES", function(db)
      t.eq(value(db, "SELECT '\\'"), "\\")
      refused("SQLUNE_DENIED", "INTO", db:query "SELECT '\\' INTO OUTFILE '/tmp/sqlune-hostile'")
    end)
    with_mode("ANSI_QUOTES", function(db)
      refused("SQLUNE_DENIED", "INTO", db:query 'SELECT 1 AS "\\" INTO OUTFILE "/tmp/sqlune-hostile"')
      t.eq(assert(db:query 'SELECT 1 AS "a\\"').columns, { "a\\" })
    end)
    with_mode("MSSQL", function(db)
      refused("SQLUNE_DENIED", "square brackets", db:query "SELECT 1 AS [a'], 2 INTO OUTFILE '/tmp/x' -- [']")
    end)
    with_mode("", function(db)
      t.eq(value(db, "SELECT '\\' INTO OUTFILE /*'"), "' INTO OUTFILE /*")
    end)
  end,

  ["limits and deadlines"] = function()
    local db <close> = opened("my_limits", "CREATE TABLE n (i INT); INSERT INTO n SELECT seq FROM seq_1_to_1000;")
    refused("SQLUNE_LIMIT", "5 rows", db:query("SELECT i FROM n", { max_rows = 5 }))
    t.eq(#assert(db:query("SELECT i FROM n", { max_rows = 1000 })).rows, 1000)
    refused("SQLUNE_LIMIT", "bytes", db:query("SELECT REPEAT('x', 2000)", { max_bytes = 1000 }))
    refused("SQLUNE_LIMIT", "too large", db:query("SELECT '" .. ("x"):rep(300000) .. "'"))
    refused("SQLUNE_LIMIT", "deeply", db:query("SELECT " .. ("("):rep(1000) .. "1" .. (")"):rep(1000)))
    for _, sql in ipairs {
      "SELECT SLEEP(20)", "SELECT COUNT(*) FROM n a, n b, n c, n d", "SELECT BENCHMARK(1e15, SHA2('x', 512))",
      "SELECT a.i FROM n a, n b, n c WHERE SLEEP(0.01) = 7",
    } do
      local limit = 0.3 + t.grace(0.3)
      local took = t.least(limit, function() refused("SQLUNE_TIMEOUT", "time", db:query(sql, { timeout = 0.3 })) end)
      t.ok(took >= 0.3 and took < limit, sql .. ": " .. took)
      t.eq(value(db, "SELECT 1"), 1)
    end
    refused("SQLUNE_LIMIT", "rows", db:query("SELECT a.i FROM n a, n b, n c", { max_rows = 10 }))
    t.eq(value(db, "SELECT COUNT(*) FROM n"), 1000)
  end,

  ["what it says when it fails"] = function()
    local db <close>, at = opened "my_errors"
    refused("SQLUNE_DB", "nope", db:query "SELECT nope")
    refused("SQLUNE_DB", "syntax", db:query "SELECT FROM")
    refused("SQLUNE_DB", "NUL", db:query "SELECT 1\0")
    refused("SQLUNE_DB", "UTF%-8", db:query "SELECT '\xff'")
    for _, sql in ipairs { "", " ", ";", "-- x", "/* x */", "# x" } do
      refused("SQLUNE_DB", "empty", db:query(sql))
    end
    at.password = "wrong and secret"
    local ok, message, code = sq.db.open(at)
    refused("SQLUNE_DB", "cannot connect to reader@.*: Access denied", ok, message, code)
    t.ok(not message:find("secret", 1, true), message)
    at.password, at.socket, at.host, at.port = "reader's secret", nil, "127.0.0.1", 1
    refused("SQLUNE_IO", "127.0.0.1:1", sq.db.open(at))
    at.database, at.socket, at.host = "nothing_there", servers.mysql().socket, nil
    refused("SQLUNE_DB", "nothing_there", sq.db.open(at))
    at.sslmode = "sometimes"
    t.fails(function() sq.db.open(at) end, "sslmode")
  end,

  ["over TLS, by a socket, by files of options"] = function()
    local server = servers.server "mysql"
    local at = servers.mysql()
    at.host, at.socket = "127.0.0.1", nil
    if server.certificate then
      at.sslmode = "require"
      local db <close> = assert(sq.db.open(at))
      t.ok(assert(db:query "SHOW STATUS LIKE 'Ssl_cipher'").rows[1][2] ~= "")
      at.sslmode, at.ssl_ca = "verify-full", server.certificate
      local checked <close> = assert(sq.db.open(at))
      t.ok(assert(checked:query "SHOW STATUS LIKE 'Ssl_cipher'").rows[1][2] ~= "")
      local other = t.tmpdir() .. "/other.crt"
      t.ok(os.execute(("openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=else -keyout /dev/null -out %s "
        .. "2>/dev/null"):format(other)))
      at.ssl_ca = other
      refused("SQLUNE_IO", "cannot connect", sq.db.open(at))
      at.ssl_ca = nil
      t.fails(function() sq.db.open(at) end, "needs an 'ssl_ca'")
    end
    at.sslmode = "disable"
    local plain <close> = assert(sq.db.open(at))
    t.eq(assert(plain:query "SHOW STATUS LIKE 'Ssl_cipher'").rows[1][2], "")
    local home = t.tmpdir()
    assert(sq.fs.write(home .. "/.my.cnf", ("[client]\nuser=reader\npassword=\"reader's secret\"\nsocket=%s\n"
      .. "[sqlune]\nlocal-infile=1\n"):format(server.connection.socket)))
    assert(sq.fs.write(home .. "/a.lua", [[local sq = require "sqlune"
      local db = assert(sq.db.open { dialect = "mysql", database = "mysql" })
      print(db:query("SELECT CURRENT_USER()").rows[1][1])]]))
    local pipe = assert(io.popen(("HOME=%s %s %s/a.lua 2>&1"):format(home, sq.fs.realpath "/proc/self/exe", home)))
    t.eq(pipe:read "a", "reader@%\n")
    pipe:close()
  end,

  ["a server that dies, and comes back"] = function()
    local server = require("tests.servers.mysql").start()
    if not server then t.skip "no server for mysql is installed" end
    local module = require "tests.servers.mysql"
    local db <close> = assert(sq.db.open(server.connection))
    t.eq(value(db, "SELECT 1"), 1)
    os.execute(("(sleep %g; kill -KILL %d) &"):format(t.grace(0.3), server.pid))
    local started = sq.sys.clock()
    refused("SQLUNE_IO", "lost", db:query "SELECT SLEEP(20)")
    t.ok(sq.sys.clock() - started < t.grace(3))
    refused("SQLUNE_IO", "cannot connect", db:query "SELECT 1")
    module.again(server)
    t.eq(value(db, "SELECT 2"), 2)
    os.execute(("kill -STOP %d; sleep 0.2"):format(server.pid)) -- as slow as a server can be
    started = sq.sys.clock()
    refused("SQLUNE_TIMEOUT", "time", db:query("SELECT 3", { timeout = 0.3 }))
    t.ok(sq.sys.clock() - started < t.grace(1.2), sq.sys.clock() - started)
    os.execute(("kill -CONT %d"):format(server.pid))
    t.eq(value(db, "SELECT 4"), 4)
    module.kill(server)
  end,

  ["a connection that is cut, a lock that is held"] = function()
    local db <close>, at = opened("my_cut", "CREATE TABLE a (x INT); INSERT INTO a VALUES (1);")
    local id = value(db, "SELECT CONNECTION_ID()")
    servers.script(at, "KILL CONNECTION " .. id)
    t.eq(value(db, "SELECT x FROM a"), 1) -- on a connection made anew
    t.ok(value(db, "SELECT CONNECTION_ID()") ~= id)
    id = value(db, "SELECT CONNECTION_ID()")
    local client = "mariadb --no-defaults -u root -S " .. at.socket
    local later = ("(sleep %g; %s -e 'KILL %%s %%d') &"):format(t.grace(0.3), client)
    os.execute(later:format("CONNECTION", id))
    refused("SQLUNE_IO", "lost", db:query "SELECT SLEEP(20)")
    t.eq(value(db, "SELECT x FROM a"), 1)
    id = value(db, "SELECT CONNECTION_ID()")
    os.execute(later:format("QUERY", id))
    refused("SQLUNE_DB", "interrupted", db:query "SELECT SLEEP(20) FROM a WHERE SLEEP(20) = 0")
    t.eq(value(db, "SELECT CONNECTION_ID()"), id)
    os.execute(client .. " my_cut -e 'LOCK TABLES a WRITE; DO SLEEP(3)' &")
    t.ok(servers.wait(client .. " -e 'SHOW PROCESSLIST' | grep -q 'DO SLEEP'", 5))
    local limit = t.grace(0.9)
    t.ok(limit > t.least(limit, function()
      refused("SQLUNE_TIMEOUT", "time", db:query("SELECT x FROM a", { timeout = 0.3 }))
    end))
    t.eq(value(db, "SELECT x FROM a"), 1) -- waits until the lock goes
  end,
}
