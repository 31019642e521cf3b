-- 1,034 Spider dev items, gold against gold: the worker pool, the whole `sqlune eval`, and the least Python needs.
-- sqlune tests/bench/eval.lua [PYTHON [NAME=COMMAND …]]: PYTHON runs eval_peer.py; a COMMAND is another evaluator of
-- these pairs, whose ratio to sqlune eval is printed. In it @pred stands for a file of predictions and gold in one as
-- XiYan's evaluator reads it, @conn for its connection file, @bird_pred, @bird_gold, @bird_diff for BIRD's three, @db
-- for a copy of the folder of databases, since some evaluators leave empty files there. Whole processes, in turns.
local sq = require "sqlune"

local RUNS = 5
local SHARED = os.getenv "SQLUNE_SHARED" or "../shared"
local python = arg[1] or "python3"

if not sq.fs.exists(SHARED .. "/README.md") then
  print("no reference data at " .. SHARED .. " (set SQLUNE_SHARED)")
  os.exit(0)
end

local folder = sq.fs.tmpdir()
local _folder <close> = setmetatable({}, { __close = function() sq.fs.remove_tree(folder) end })
local databases = SHARED .. "/data/spider/database"
local items, predictions, bird_pred, bird_gold = {}, sq.json.array {}, sq.json.object(), {}
for i, item in ipairs(assert(sq.json.read(SHARED .. "/data/spider/dev.json"))) do
  local path = ("%s/%s/%s.sqlite"):format(databases, item.db_id, item.db_id)
  items[i] = { db = path, gold = item.query, pred = item.query }
  predictions[i] = sq.json.object("idx", i, "db_name", item.db_id, "question", item.question, "sql", item.query,
    "pred_sql", item.query)
  bird_pred[tostring(i - 1)] = item.query .. "\t----- bird -----\t" .. item.db_id
  bird_gold[i] = item.query:gsub("%s+", " ") .. "\t" .. item.db_id .. "\n"
end
local file = folder .. "/pred.json"
local bird = { pred = file .. ".bird", gold = file .. ".sql", diff = file .. ".difficulty" }
assert(sq.json.write(file, predictions))
assert(sq.json.write(bird.pred, bird_pred))
assert(sq.fs.write(bird.gold, table.concat(bird_gold)))
-- it divides by the number of each
local levels = '{"difficulty": "simple"}\n{"difficulty": "moderate"}\n{"difficulty": "challenging"}\n'
assert(sq.fs.write(bird.diff, levels:rep(#items // 3) .. '{"difficulty": "simple"}\n'))

---Seconds of the stages, taken in turns after a turn that warms up: median and least of each.
local function times_of(stages)
  local lists = {}
  for turn = 0, RUNS do
    for i, stage in ipairs(stages) do
      lists[i] = lists[i] or {}
      local start = sq.sys.clock()
      stage[2]()
      if turn > 0 then lists[i][turn] = sq.sys.clock() - start end
    end
  end
  for _, list in ipairs(lists) do table.sort(list) end
  return lists
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

local OURS <const> = 3 -- its place among the stages
local stages = {
  { "worker pool, 1 thread", pool(1) },
  { "worker pool, 2 threads", pool(2) },
  { "sqlune eval, whole process", shell(("%s eval pred=%s db=%s out=%s/out --quiet"):format(arg[-1], file, databases,
    folder)) },
  { "Python sqlite3, whole process", shell(("%s tests/bench/eval_peer.py %s %s"):format(python, file, databases)) },
}
for i = 2, #arg do
  local name, command = arg[i]:match "^([^=]+)=(.*)$"
  local copy = ("%s/%d"):format(folder, i)
  assert(os.execute(("cp -r '%s' '%s' && chmod -R u+w '%s'"):format(databases, copy, copy)))
  assert(sq.json.write(copy .. ".json", sq.json.object("db_host", copy, "db_port", "5432", "db_user", "",
    "db_password", "", "dialect", "sqlite")))
  command = command:gsub("@([%a_]+)", { pred = file, db = copy, conn = copy .. ".json", bird_pred = bird.pred,
    bird_gold = bird.gold, bird_diff = bird.diff })
  stages[#stages + 1] = { name .. ", whole process", shell(command) }
end

print(("%-38s %9s %9s %12s %8s"):format("1,034 items (972 databases exist)", "median s", "least s", "items/s", "ratio"))
local lists = times_of(stages)
local ours = lists[OURS][(RUNS + 1) // 2]
for i, stage in ipairs(stages) do
  local median = lists[i][(RUNS + 1) // 2]
  print(("%-38s %9.3f %9.3f %12.0f %8.1f"):format(stage[1], median, lists[i][1], #items / median, median / ours))
end
