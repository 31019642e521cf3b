-- recipes/check_sandbox.lua: sends SQL that wants to do harm to a database of yours and says what became of it.
--
-- Every statement goes the way a model's SQL goes. The corpus speaks of tables item and many; setup=true prints the
-- script that makes them, so that a scratch database shows what a real one would see. What the role itself might do,
-- were the statements not stopped here, is asked of the server, not tried.
local sq = require "sqlune"
local config, term, json = sq.config, sq.term, sq.json

local cfg = config.parse(arg, {
  database = config.path "a SQLite file, postgresql://user@host/name, mysql://user@host/name, or a connection file",
  name     = config.string("which database of a connection file", false),
  yes      = config.boolean "this database may be attacked: a scratch copy, no production",
  setup    = config.boolean "print the script that makes the tables of the corpus, then end",
  timeout  = config.number("deadline of a statement in seconds", 0.5, { min = 0.05 }),
  slack    = config.number("how late it may end", 0.5, { min = 0 }),
  most     = config.integer("only the first statements of each kind; 0: all", 0, { min = 0 }),
  json     = config.boolean "print the results as JSON",
  dry_run  = config.boolean "list the statements, send none",
}, { positional = { "database" } })

local places, message = sq.data.databases.open(cfg.database)
if not places then config.fail(message) end
local name = cfg.name or places:names()[1]
if not name then config.fail(cfg.database .. ": it names no database; give name=…") end
local place
place, message = places:find(name)
if not place then config.fail(message) end
local dialect = type(place) == "table" and place.dialect or "sqlite"
local corpus = require("sqlune.sandbox." .. dialect)

if cfg.most > 0 then
  for _, kind in ipairs { "denied", "hungry" } do
    corpus[kind] = table.move(corpus[kind], 1, math.min(cfg.most, #corpus[kind]), 1, {})
  end
end

local function line(sql) return (sql:gsub("[%c\x80-\xff]+", " ")) end

if cfg.setup then
  io.write(corpus.setup, "\n")
  return
end
if cfg.dry_run then
  for _, kind in ipairs { "denied", "hungry" } do
    print(("-- %s: %d statements"):format(kind == "denied" and "must be refused" or "must end in time", #corpus[kind]))
    for _, sql in ipairs(corpus[kind]) do print(line(sql):sub(1, 200)) end
  end
  return
end
if not cfg.yes then
  config.fail(("%d statements would try to change, stop or fill %s; say yes=true if it may be attacked, "
    .. "or dry_run=true to list them"):format(#corpus.denied + #corpus.hungry, cfg.database), 2)
end

local db
db, message = sq.db.open(place)
if not db then config.fail(message) end

-- One statement after another; whether the connection still serves is part of the answer.
local summary, problems = {}, {}

local function problem(what, sql, more)
  problems[#problems + 1] = { what, line(sql):sub(1, 90), more or "" }
end

local function run(kind)
  local counts = { statements = 0, refused = 0, ended = 0, ran = 0, late = 0, broken = 0 }
  summary[kind] = counts
  local bar <close> = sq.progress.bar { label = kind, total = #corpus[kind] }
  for i, sql in ipairs(corpus[kind]) do
    local started = sq.sys.clock()
    local result, why, code = db:query(sql, { timeout = cfg.timeout })
    local seconds = sq.sys.clock() - started
    local ended = code == "SQLUNE_TIMEOUT" or code == "SQLUNE_LIMIT"
    local key = result and "ran" or ended and "ended" or "refused"
    counts.statements = counts.statements + 1
    counts[key] = counts[key] + 1
    if kind == "denied" and result then problem("got through", sql) end
    if kind == "denied" and ended then problem("was not refused", sql, why) end
    if seconds > cfg.timeout + cfg.slack then
      counts.late = counts.late + 1
      problem(("%.1f s late"):format(seconds - cfg.timeout), sql)
    end
    local served, fault = db:query("SELECT 1", { timeout = 20 })
    if not served then
      counts.broken = counts.broken + 1
      problem("broke the connection", sql, fault)
    end
    collectgarbage()
    bar:update(i)
  end
end

run "denied"
run "hungry"

-- What the role might do if nothing here stood in the way.
local rights = {}
for _, right in ipairs(corpus.rights or {}) do
  local result, fault = db:query(right[2])
  local value = result and result.rows[1] and result.rows[1][1]
  if result then
    if value ~= false and value ~= 0 and value ~= json.null and value ~= nil then
      rights[#rights + 1] = { right[1], value == true and "yes" or tostring(value) }
    end
  else
    rights[#rights + 1] = { right[1], "unknown: " .. fault }
  end
end

local function rows_of(counts, what)
  return { what, counts.statements, counts.refused, counts.ended, counts.ran, counts.late, counts.broken }
end

if cfg.json then
  local found, open = json.array {}, json.object()
  for i, p in ipairs(problems) do found[i] = json.object("what", p[1], "sql", p[2], "message", p[3]) end
  for _, right in ipairs(rights) do open[right[1]] = right[2] end
  print(json.encode(json.object("dialect", dialect, "denied", summary.denied, "hungry", summary.hungry,
    "problems", found, "rights", open)))
else
  print(term.table {
    columns = { "statements that must", "sent", "refused", "timed out", "ran", "late", "broke" }, align = "lrrrrrr",
    rows = { rows_of(summary.denied, "be refused"), rows_of(summary.hungry, "end in time") },
  })
  if #problems > 0 then
    print()
    print(term.table { columns = { "problem", "statement", "message" }, rows = problems, align = "lll",
      width = term.columns() })
  end
  if corpus.rights then
    print()
    if #rights == 0 then
      print("  Without sqlune the role could do nothing but read.")
    else
      print("  Without sqlune the role could (a role that only reads is a second wall):")
      print(term.table { columns = { "might", "how many" }, rows = rights, align = "ll" })
    end
  end
  print(#problems == 0 and "  nothing got through" or ("  %s"):format(term.plural(#problems, "problem")))
end
if #problems > 0 then os.exit(1, true) end
