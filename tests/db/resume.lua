-- Evaluations that are disturbed: killed, out of space, servers that go, come back, lock, are slow. No verdict is lost,
-- none counts twice.
local servers = require "tests.servers"
local t = require "tests.check"
local sq = require "sqlune"

local evaluate, fs, json = sq.evaluate, sq.fs, sq.json

---A SQLite statement that takes about a fifth of a second and gives i.
local function slow(i)
  return ("WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t LIMIT 600000) SELECT max(x) * 0 + %d FROM t")
    :format(i)
end

local function folder(count)
  local dir, items = t.tmpdir(), json.array {}
  assert(sq.db.create(dir .. "/one.sqlite", "CREATE TABLE a (b)"))
  for i = 1, count do
    items[i] = json.object("question_id", 100 + i, "db_name", "one", "sql", ("SELECT %d"):format(i % 5 == 0 and 0 or i),
      "pred_sql", slow(i))
  end
  assert(json.write(dir .. "/pred.json", items))
  return dir
end

local function command(dir, more)
  return ("%s eval pred=%s/pred.json db=%s/one.sqlite out=%s/out workers=2 --quiet %s 2>&1"):format(arg[-1], dir, dir,
    dir, more or "")
end

local function output(line)
  local pipe = io.popen(line .. '; echo "[$?]"')
  local text = pipe:read "a"
  pipe:close()
  local said, code = text:match "^(.*)%[(%d+)%]\n$"
  return said, tonumber(code)
end

---All verdicts are there, each once, each as it must be.
local function check_result(dir, count)
  local result = assert(json.read(dir .. "/out/eval.json"))
  t.eq(#result.items, count)
  for i, line in ipairs(result.items) do
    t.eq({ line.item, line.id, line.verdict }, { i, tostring(100 + i), i % 5 == 0 and "wrong" or "correct" })
  end
  t.ok(not fs.exists(dir .. "/out/verdicts.jsonl"), "the journal stays")
end

---Runs a shell command in the background after some seconds.
local function later(seconds, line)
  os.execute(("(sleep %g; %s) >/dev/null 2>&1 &"):format(seconds, line))
end

---Items on a server: gold is quick, the prediction takes about `loops` / 10,000,000 seconds.
local function server_items(connection, count, loops)
  local items = {}
  for i = 1, count do
    items[i] = { db = connection, gold = "SELECT " .. i,
      pred = ("SELECT count(*) * 0 + %d FROM generate_series(1, %d)"):format(i, loops) }
  end
  return items
end

---Fails unless soon no statement that holds a text runs on the server: a cancel takes effect after its answer.
local function nothing_runs(connection, text)
  local db <close> = assert(sq.db.open(connection))
  local running = ("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%%s%%' AND state = 'active' "
    .. "AND pid <> pg_backend_pid()"):format(text)
  for _ = 1, 50 do
    if assert(db:query(running)).rows[1][1] == 0 then return end
    os.execute "sleep 0.1"
  end
  error("a statement runs on: " .. text)
end

---Runs items, in a second run those that the first one left; every item must be judged once. during: what happens when
---so many items are judged.
local function run_in_parts(items, during, between)
  local outcomes, again, count = {}, {}, 0
  local function finished(i, outcome)
    t.eq(outcomes[i], nil, "a second verdict of item " .. i)
    outcomes[i], count = outcome, count + 1
    if during[count] then during[count]() end
  end
  local all, message = evaluate.run { items = items, workers = 2, timeout = 20, finished = finished }
  if all then return all, nil, 0 end
  for i, outcome in pairs(outcomes) do again[i] = outcome end
  local left = #items
  for _ in pairs(again) do left = left - 1 end
  between()
  all = assert(evaluate.run { items = items, workers = 2, timeout = 20, done = again, finished = finished })
  return all, message, left
end

return {
  ["killed in the middle, it goes on"] = function()
    local dir = folder(30)
    output(([[%s & process=$!
      for i in $(seq 400); do [ "$(wc -l <%s/out/verdicts.jsonl)" -gt 1 ] && break; sleep 0.05; done 2>/dev/null
      kill -9 $process]]):format(command(dir), dir))
    local lines = 0
    for _ in assert(fs.read(dir .. "/out/verdicts.jsonl")):gmatch "\n" do lines = lines + 1 end
    t.ok(lines > 1 and lines < 31, lines)
    assert(fs.append(dir .. "/out/verdicts.jsonl", '{"item": 30, "outc')) -- and its last line was cut off
    local said, code = output(command(dir))
    t.eq(code, 0, said)
    t.ok(said:find(("%d of 30 verdicts are there already"):format(lines - 1), 1, true), said)
    check_result(dir, 30)
    t.eq(sq.fs.exists(dir .. "/out/verdicts.jsonl"), false)
    t.eq(os.execute("pgrep -f 'out=[/]" .. dir:sub(2) .. "/out' >/dev/null"), nil, "a worker stays behind")
  end,

  ["other settings do not go on from its journal"] = function()
    local dir = folder(3)
    assert(fs.mkdir(dir .. "/out"))
    local line = json.encode { item = 1, outcome = { verdict = "wrong" } } .. "\n"
    assert(fs.write(dir .. "/out/verdicts.jsonl", '{"digest": "of another evaluation"}\n' .. line))
    local said, code = output(command(dir))
    t.ok(code == 0 and not said:find "already", said)
    assert(fs.write(dir .. "/out/verdicts.jsonl", line))
    said, code = output(command(dir))
    t.ok(code == 0 and not said:find "already", said)
  end,

  ["no space is left: it stops and says so, then goes on"] = function()
    local dir = folder(16)
    local said, code = output(("trap '' XFSZ; ulimit -f 8; %s samples=0"):format(command(dir)))
    t.eq(code, 1, said)
    t.ok(said:find "verdicts%.jsonl" or said:find "eval%.json", said)
    t.ok(not fs.exists(dir .. "/out/eval.json"), "half a result")
    said, code = output(command(dir, "samples=0"))
    t.ok(code == 0 and said:find "already", said)
    check_result(dir, 16)
  end,

  ["a server that dies and comes back"] = function()
    local postgresql = require "tests.servers.postgresql"
    local server = postgresql.start() or t.skip "PostgreSQL is not installed"
    local items = server_items(server.connection, 24, 1000000)
    local outcomes, message, left = run_in_parts(items, { [3] = function() postgresql.kill(server) end },
      function() postgresql.again(server) end)
    t.ok(message and message:find "connection", message)
    t.ok(left > 0 and left < 24, left)
    for i, outcome in ipairs(outcomes) do t.eq(outcome.verdict, "correct", i) end
    postgresql.kill(server)
  end,

  ["connections that are cut are made again"] = function()
    local connection = servers.new("postgresql", "cut", "CREATE TABLE a (b int)")
    local cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cut' "
      .. "AND pid <> pg_backend_pid()"
    local client = ("psql -X -q -h %s -p %d -U postgres -d cut -c %s"):format(connection.socket, connection.port,
      servers.quoted(cut))
    local function cut_now() os.execute(client .. " >/dev/null 2>&1") end
    local items = server_items(connection, 16, 1000000)
    local outcomes, message = run_in_parts(items, { [2] = cut_now, [8] = cut_now }, error)
    t.eq(message, nil)
    for i, outcome in ipairs(outcomes) do t.eq(outcome.verdict, "correct", i) end
  end,

  ["a lock that is held, a server that is slow: time-outs, and nothing runs on"] = function()
    local connection = servers.new("postgresql", "slow", "CREATE TABLE a (b int); CREATE TABLE c (d int)")
    local client = ("psql -X -q -h %s -p %d -U postgres -d slow -c %s"):format(connection.socket, connection.port,
      servers.quoted(("BEGIN; LOCK TABLE a; SELECT pg_sleep(%g)"):format(t.grace(4))))
    later(0, client)
    t.ok(servers.wait(("psql -X -q -h %s -p %d -U postgres -d slow -c %s"):format(connection.socket, connection.port,
      servers.quoted "SELECT 1 / count(*) FROM pg_locks WHERE relation = 'a'::regclass"), 5))
    local endless = "SELECT count(*) FROM generate_series(1, 2000000000)"
    local outcomes = assert(evaluate.run { workers = 2, timeout = t.grace(0.4), items = {
      { db = connection, gold = "SELECT * FROM a", pred = "SELECT * FROM a" },
      { db = connection, gold = "SELECT * FROM c", pred = "SELECT * FROM a" },
      { db = connection, gold = "SELECT * FROM c", pred = "SELECT * FROM c" },
      { db = connection, gold = "SELECT * FROM c", pred = endless },
    } })
    local verdicts = {}
    for i, outcome in ipairs(outcomes) do verdicts[i] = outcome.verdict end
    t.eq(verdicts, { "gold_error", "timeout", "correct", "timeout" })
    t.eq(outcomes[1].gold_code, "SQLUNE_TIMEOUT")
    nothing_runs(connection, "2000000000")
  end,

  ["closing cancels on the server"] = function()
    local connection = servers.new("postgresql", "closing", "CREATE TABLE a (b int)")
    local items = server_items(connection, 4, 2000000001)
    local pool = assert(sq.evaluator.start { items = items, workers = 2, timeout = 60 })
    pool:step(0.5)
    pool:close()
    nothing_runs(connection, "2000000001")
  end,
}
