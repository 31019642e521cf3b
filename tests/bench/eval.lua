-- 1,034 Spider dev items, gold against gold: the worker pool, the whole `sqlune eval`, and the least Python needs.
-- sqlune tests/bench/eval.lua [PYTHON [COMMAND]]: PYTHON runs eval_peer.py, COMMAND is another evaluator to be timed.
local sq = require "sqlune"

local RUNS = 5
local SHARED = os.getenv "SQLUNE_SHARED" or "../shared"
local python, other = arg[1] or "python3", arg[2]

if not sq.fs.exists(SHARED .. "/README.md") then
  print("no reference data at " .. SHARED .. " (set SQLUNE_SHARED)")
  os.exit(0)
end

local folder, databases = sq.fs.tmpdir(), SHARED .. "/data/spider/database"
local items, predictions = {}, sq.json.array {}
for i, item in ipairs(assert(sq.json.read(SHARED .. "/data/spider/dev.json"))) do
  local path = ("%s/%s/%s.sqlite"):format(databases, item.db_id, item.db_id)
  items[i] = { db = path, gold = item.query, pred = item.query }
  predictions[i] = sq.json.object("idx", i, "db_name", item.db_id, "question", item.question, "sql", item.query,
    "pred_sql", item.query)
end
local file = folder .. "/pred.json"
assert(sq.json.write(file, predictions))

---Seconds of fn: median and least of several runs after one that warms up.
local function seconds(fn)
  local list = {}
  fn()
  for i = 1, RUNS do
    local start = sq.sys.clock()
    fn()
    list[i] = sq.sys.clock() - start
  end
  table.sort(list)
  return list[(RUNS + 1) // 2], list[1]
end

local function shell(command)
  return function() assert(os.execute(command .. " >/dev/null 2>&1"), "this failed: " .. command) end
end

local function pool(workers)
  return function()
    local all = sq.evaluate.summary(sq.evaluate.run { items = items, workers = workers })
    assert(all.correct == 972, all.correct)
  end
end

local stages = {
  { "worker pool, 1 thread", pool(1) },
  { "worker pool, 2 threads", pool(2) },
  { "sqlune eval, whole process", shell(("%s eval pred=%s db=%s out=%s/out --quiet"):format(arg[-1], file, databases,
    folder)) },
  { "Python sqlite3, whole process", shell(("%s tests/bench/eval_peer.py %s %s"):format(python, file, databases)) },
}
if other then stages[#stages + 1] = { "other evaluator, whole process", shell(other) } end

print(("%-32s %9s %9s %12s"):format("1,034 items (972 databases exist)", "median s", "least s", "items/s"))
for _, stage in ipairs(stages) do
  local median, least = seconds(stage[2])
  print(("%-32s %9.3f %9.3f %12.0f"):format(stage[1], median, least, #items / median))
end
sq.fs.remove_tree(folder)
