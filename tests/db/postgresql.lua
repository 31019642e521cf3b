-- The PostgreSQL driver: values, limits, deadlines, what is refused, and what becomes of a session.
local t = require "tests.check"
local sq = require "sqlune"
local servers = require "tests.servers"

local null = sq.json.null

local function shop(name)
  return servers.new("postgresql", name or "shop", [[
    CREATE TABLE item (id INT PRIMARY KEY, name TEXT NOT NULL, price NUMERIC(8, 2));
    INSERT INTO item VALUES (1, 'pen', 1.50), (2, 'größe', 4), (3, 'pad', NULL);
  ]], { timezone = "Asia/Kolkata" })
end

local function refused(code, pattern, result, message, got)
  t.ok(result == nil, "it ran")
  t.eq(got, code, message)
  t.ok(message:find(pattern), message)
end

---Runs a shell command in the background after some seconds.
local function later(seconds, command)
  os.execute(("(sleep %g; %s) >/dev/null 2>&1 </dev/null &"):format(seconds, command))
end

local function psql(connection, sql)
  return ("psql -X -q -h %s -p %d -U postgres -d %s -c %s"):format(connection.socket, connection.port,
    connection.database, servers.quoted(sql))
end

local in_time = 0.5 + t.grace(0.25) -- seconds in which a statement ends that has 0.3; a busy machine may add some

return {
  ["values"] = function()
    local db <close> = assert(sq.db.open(shop()))
    local function row(sql) return assert(db:query("SELECT " .. sql)).rows[1] end
    t.eq(row "1::smallint, -9223372036854775808, 1.5::float8, 'x'::text, NULL", { 1, math.mininteger, 1.5, "x", null })
    t.eq(row "0.1::real, 'NaN'::float8 = 'NaN', '-Infinity'::float8, 3e10::real",
      { 0.1, true, -math.huge, 30000001000.0 })
    t.eq(row "12.50::numeric(10, 2), 'NaN'::numeric, 1e30::numeric", { "12.50", "NaN", "1" .. ("0"):rep(30) })
    t.eq(row "true, false, '\\x00ff'::bytea, ''::bytea", { true, false, { blob = "\0\xff" }, { blob = "" } })
    t.eq(row "date '2024-01-31', date 'infinity', date '-infinity', date '0044-03-15 BC', date '10000-01-01'",
      { "2024-01-31", "9999-12-31", "0001-01-01", "0044-03-15 BC", "10000-01-01" })
    t.eq(row "time '12:30', time '12:30:00.5', time '24:00', timetz '12:30+02', timetz '12:30:01.25-03:30'",
      { "12:30:00", "12:30:00.500000", "00:00:00", "12:30:00+02:00", "12:30:01.250000-03:30" })
    t.eq(row "timestamp '2024-01-31 12:30', timestamptz '2024-01-31 12:30:00.1+00', timestamp '-infinity'",
      { "2024-01-31 12:30:00", "2024-01-31 18:00:00.100000+05:30", "0001-01-01 00:00:00" })
    t.eq(row("interval '90 minutes', interval '1 day', interval '-1 hour', "
      .. "interval '1 year 2 mons -3 days 04:05:06.7'"),
      { "1:30:00", "1 day, 0:00:00", "-1 day, 23:00:00", "422 days, 4:05:06.700000" })
    t.eq(row "ARRAY[1, NULL, -3], ARRAY['a\"b', 'c,d', '', 'NULL', NULL], '{}'::int[], '{{1,2},{3,4}}'::int[]",
      { "[1, null, -3]", '["a\\"b", "c,d", "", "NULL", null]', "[]", "[[1, 2], [3, 4]]" })
    t.eq(row "ARRAY[true], ARRAY[1.50], ARRAY[date '2024-01-31'], ARRAY['NaN'::float8, 1], ARRAY['[1]'::jsonb]",
      { "[true]", "[1.50]", '["2024-01-31"]', '["NaN", 1]', "[[1]]" })
    t.eq(row "'{\"b\": 1, \"a\": [null]}'::json, '{\"b\": 1}'::jsonb, int4range(1, 5), 'a'::char(3), B'101'",
      { '{"b": 1, "a": [null]}', '{"b": 1}', "[1,5)", "a  ", "101" })
    t.eq(row "'12345678-1234-5678-1234-567812345678'::uuid, '10.0.0.1'::inet, '{2,3}'::int[] = '{2,3}', 7::oid",
      { "12345678-1234-5678-1234-567812345678", "10.0.0.1", true, 7 })
    t.ok(tostring(db:query "SELECT true AS yes, ARRAY['x']"):find 'yes   array\ntrue  %["x"%]')
  end,

  ["results"] = function()
    local db <close> = assert(sq.db.open(shop()))
    local result = assert(db:query "SELECT name, price AS p, price AS p FROM item ORDER BY id")
    t.eq(result.columns, { "name", "p", "p" })
    t.eq(result.rows, { { "pen", "1.50", "1.50" }, { "größe", "4.00", "4.00" }, { "pad", null, null } })
    result = assert(db:query "SELECT id FROM item WHERE false")
    t.eq({ result.columns, result.rows }, { { "id" }, {} })
    t.eq(assert(db:query "SELECT FROM item").columns, {})
    t.eq(#assert(db:query "SELECT i, repeat('x', 50) FROM generate_series(1, 20000) i").rows, 20000)
    for _, sql in ipairs { "TABLE item", "VALUES (1)", "(SELECT 1) UNION ALL (SELECT 2);",
      "/* a /* b */ c */ SELECT 1;",
      "WITH a AS (SELECT 1) SELECT * FROM a; -- x", "EXPLAIN SELECT 1", "EXPLAIN (FORMAT json) (SELECT 1)",
      "EXPLAIN VERBOSE SELECT 1", "SELECT $a$; DROP TABLE item $a$", "SELECT E'\\';', ';'", 'SELECT 1 AS ";"',
      "SELECT random() < 2" } do
      t.ok(db:query(sql), sql)
    end
  end,

  ["what is refused"] = function()
    local db <close> = assert(sq.db.open(shop()))
    refused("SQLUNE_DENIED", "not 'drop'", db:query "DROP TABLE item")
    refused("SQLUNE_DENIED", "more than one", db:query "SELECT 1; SELECT 2")
    refused("SQLUNE_DENIED", "read%-only", db:query "WITH d AS (DELETE FROM item RETURNING *) SELECT * FROM d")
    refused("SQLUNE_DENIED", "'pg_sleep'", db:query "SELECT pg_sleep(1)")
    refused("SQLUNE_DENIED", "EXPLAIN's options", db:query "EXPLAIN (FORMAT json, pg_sleep(1)) SELECT 1")
    refused("SQLUNE_DENIED", "'pg_shadow'", db:query "SELECT * FROM pg_shadow")
    refused("SQLUNE_DB", "column \"nme\" does not exist", db:query "SELECT nme FROM item")
    refused("SQLUNE_DB", "parameters", db:query "SELECT $1::int")
    refused("SQLUNE_DB", "empty", db:query " -- nothing")
    refused("SQLUNE_DB", "NUL", db:query "SELECT '\0'")
    refused("SQLUNE_DB", "UTF%-8", db:query "SELECT '\xff'")
    t.eq(#assert(db:query "SELECT * FROM item").rows, 3)
  end,

  ["limits and deadlines"] = function()
    local db <close> = assert(sq.db.open(shop()))
    local endless = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT * FROM r"
    refused("SQLUNE_LIMIT", "more than 10 rows", db:query(endless, { max_rows = 10 }))
    refused("SQLUNE_LIMIT", "more than 10000 bytes", db:query(endless, { max_bytes = 10000 }))
    for _, sql in ipairs { endless, "SELECT count(*) FROM generate_series(1, 1000000000)" } do
      local seconds, result, message, code = t.least(in_time, function() return db:query(sql, { timeout = 0.3 }) end)
      refused("SQLUNE_TIMEOUT", "out of time", result, message, code)
      t.ok(seconds < in_time, seconds .. " s")
    end
    t.eq(assert(db:query "SELECT 1").rows, { { 1 } })
  end,

  ["a lock that is held counts as time"] = function()
    local connection = shop "locked"
    local db <close> = assert(sq.db.open(connection))
    later(0, psql(connection, "BEGIN; LOCK TABLE item; SELECT pg_sleep(3)"))
    t.ok(servers.wait(psql(connection, "SELECT 1 / count(*) FROM pg_locks WHERE relation = 'item'::regclass"), 5))
    local seconds, result, message, code = t.least(in_time, function()
      return db:query("SELECT * FROM item", { timeout = 0.3 })
    end)
    refused("SQLUNE_TIMEOUT", "out of time", result, message, code)
    t.ok(seconds < in_time, seconds .. " s")
    t.eq(#assert(db:query("SELECT * FROM item", { timeout = 10 })).rows, 3)
  end,

  ["a session that is ended, and one that breaks while idle"] = function()
    local connection = shop "ended"
    local db <close> = assert(sq.db.open(connection))
    local ending = psql(connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ended' "
      .. "AND pid <> pg_backend_pid()")
    later(t.grace(0.3), ending)
    refused("SQLUNE_IO", "connection was lost: .*administrator",
      db:query "SELECT count(*) FROM generate_series(1, 1000000000)")
    t.eq(assert(db:query "SELECT 1").rows, { { 1 } })
    os.execute(ending .. " >/dev/null")
    t.eq(assert(db:query "SELECT 1").rows, { { 1 } })
  end,

  ["a server that dies, hangs, comes back"] = function()
    local postgresql = require "tests.servers.postgresql"
    local server = postgresql.start() or t.skip "PostgreSQL is not installed"
    local db <close> = assert(sq.db.open(server.connection))
    later(t.grace(0.3), "kill -QUIT " .. server.pid)
    refused("SQLUNE_IO", "connection was lost", db:query "SELECT count(*) FROM generate_series(1, 1000000000)")
    refused("SQLUNE_IO", "connection to server", db:query "SELECT 1")
    postgresql.again(server)
    t.eq(assert(db:query "SELECT 1").rows, { { 1 } })
    -- stopped, it answers neither the statement nor the cancel
    local all = "$(pgrep -P %d; echo %d)"
    os.execute(("kill -STOP " .. all):format(server.pid, server.pid))
    local seconds, result, message, code = t.least(in_time, function()
      return db:query("SELECT 1", { timeout = 0.3 })
    end)
    os.execute(("kill -CONT " .. all):format(server.pid, server.pid))
    refused("SQLUNE_TIMEOUT", "out of time", result, message, code)
    t.ok(seconds < in_time, seconds .. " s")
    t.eq(assert(db:query "SELECT 1").rows, { { 1 } })
    postgresql.kill(server)
  end,

  ["nothing stays of a statement"] = function()
    local connection = shop "traces"
    connection.user = "postgres" -- whom no privilege stops
    local db <close> = assert(sq.db.open(connection))
    local function value(sql) return assert(db:query(sql)).rows[1][1] end
    local pid = value "SELECT pid FROM pg_stat_activity WHERE query LIKE '%a mark%'"
    for _, sql in ipairs { "SELECT 1/0", "SELECT pg_advisory_lock(1)", "SET work_mem = '1GB'", "SELECT nme" } do
      db:query(sql)
    end
    t.eq(value "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
    t.eq(value "SELECT current_setting('transaction_read_only')", "on")
    t.eq(value "SELECT pid FROM pg_stat_activity WHERE query LIKE '%a mark%'", pid)
    t.eq(value "SELECT count(*) FROM item", 3)
  end,

  ["connections that fail"] = function()
    local connection = shop()
    local secret = "s3cr3t-pa55"
    local function failing(changes)
      local o = { dialect = "postgresql", host = "127.0.0.1", port = connection.port, user = "reader",
        password = secret, database = "shop", timeout = 5 }
      for key, value in pairs(changes) do o[key] = value end
      local db, message, code = sq.db.open(o)
      t.eq(db, nil)
      t.ok(not message:find(secret, 1, true), message)
      return message, code
    end
    local message, code = failing {}
    t.ok(code == "SQLUNE_DB" and message:find "password authentication failed", message)
    t.ok(failing { database = "nope", password = connection.password }:find '"nope" does not exist')
    t.ok(failing { port = 1 }:find "refused")
    t.ok(failing { sslmode = "maybe" }:find "sslmode")
    t.ok(failing { socket = "/nowhere" }:find "No such file")
    t.fails(function() sq.db.open { dialect = "postgresql", port = 70000 } end, "'port' must lie between")
  end,

  ["TLS, the environment, a password file"] = function()
    local connection = shop()
    local certificate = connection.socket .. "/data/server.crt"
    if not sq.fs.exists(certificate) then t.skip "no openssl" end
    local o = { dialect = "postgresql", host = "localhost", port = connection.port, user = "reader",
      password = connection.password, database = "shop", sslmode = "verify-full", ssl_ca = certificate }
    local db <close> = assert(sq.db.open(o))
    t.eq(assert(db:query "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").rows, { { true } })
    o.host = "127.0.0.1" -- not the name in the certificate
    local refusal = select(2, sq.db.open(o))
    t.ok(refusal:find "certificate", refusal)
    local pgpass = t.tmpdir() .. "/pgpass"
    assert(sq.fs.write(pgpass, ("localhost:%d:*:reader:%s\n"):format(connection.port, connection.password)))
    assert(os.execute("chmod 600 " .. pgpass))
    local script = t.tmpdir() .. "/open.lua"
    assert(sq.fs.write(script, "local db = assert(require('sqlune').db.open { dialect = 'postgresql' }) "
      .. "print(assert(db:query 'SELECT current_user, current_database()').rows[1][2])"))
    local command = ("PGPASSFILE=%s PGHOST=localhost PGPORT=%d PGUSER=reader PGDATABASE=shop %s %s"):format(pgpass,
      connection.port, arg[-1], script)
    t.eq(servers.line(command), "shop")
  end,
}
