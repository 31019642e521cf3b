-- Makes the example: its databases, and questions with SQL for training and for the held-out test.
--
--   sqlune examples/make.lua out=build/example train=6000 test=200
package.path = arg[0]:gsub("[^/]*$", "") .. "../?.lua;" .. package.path
local sq = require "sqlune"
local questions = require "examples.questions"

local cfg = sq.config.parse(arg, {
  out = sq.config.path "folder for db/*.sqlite, train.json, test.json",
  seed = sq.config.integer("of the draw and of the split", 1),
  train = sq.config.integer("questions for training", 12000),
  test = sq.config.integer("questions held out", 200),
})

local paths = questions.create_databases(cfg.out .. "/db")
local databases = {}
for name, path in pairs(paths) do databases[name] = assert(sq.db.open(path)) end

---The items as `process` reads them.
local function raw(items)
  local list = sq.json.array {}
  for i, item in ipairs(items) do
    local fields = {}
    for k, name in ipairs { "db_name", "question", "evidence", "SQL" } do fields[k] = { name, item[name] } end
    list[i] = sq.json.object(fields)
  end
  return list
end

local train, test = questions.generate { databases = databases, seed = cfg.seed, train = cfg.train, test = cfg.test }
assert(sq.json.write(cfg.out .. "/train.json", raw(train), { indent = 2 }))
assert(sq.json.write(cfg.out .. "/test.json", raw(test), { indent = 2 }))
for _, db in pairs(databases) do db:close() end

local function combinations(items)
  local seen, count = {}, 0
  for _, item in ipairs(items) do
    if not seen[item.combination] then seen[item.combination], count = true, count + 1 end
  end
  return count
end

if not sq.progress.quiet then
  local shared = questions.overlap(train, test)
  print(sq.term.table {
    columns = { "questions", "items", "kinds", "combinations" },
    rows = {
      { "training", #train, #questions.kinds, combinations(train) },
      { "held out", #test, #questions.kinds, combinations(test) },
    },
  })
  local counts = {}
  for i, what in ipairs { "combination", "question", "statement", "masked" } do
    counts[i] = ("%.0f"):format(shared[what] * #test)
  end
  local line = "  held-out items that training has: by combination %s, question %s, SQL %s, SQL without constants %s"
  print(line:format(table.unpack(counts)))
end
