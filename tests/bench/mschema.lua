-- M-Schema of every Spider database: time per stage, median of five rounds; the whole process; the original.
-- sqlune tests/bench/mschema.lua [FOLDER [PYTHON ORIGINAL]]: FOLDER holds the databases, PYTHON has the original's
-- packages (SQLAlchemy, llama_index), ORIGINAL is its XiYan-SQLTraining/data.
package.path = "./?.lua;" .. package.path
local sq = require "sqlune"

local ROUNDS = 5

local folder = arg[1] or (os.getenv "SQLUNE_SHARED" or "../shared") .. "/data/spider/database"
local names, message = sq.fs.list(folder)
if not names then
  io.stderr:write("no databases: ", message, "\n")
  os.exit(1)
end

local paths, bytes = {}, 0
for _, name in ipairs(names) do
  local path = ("%s/%s/%s.sqlite"):format(folder, name, name)
  if sq.fs.exists(path) then
    paths[#paths + 1] = path
    bytes = bytes + sq.fs.size(path)
  end
end

---Median seconds of a stage over all databases.
local function median(stage)
  local times = {}
  for round = 1, ROUNDS do
    local start = sq.sys.clock()
    stage()
    times[round] = sq.sys.clock() - start
  end
  table.sort(times)
  return times[(ROUNDS + 1) // 2]
end

local schemas, texts = {}, {}
local stages = {
  { "read (catalog and examples)", function()
    for i, path in ipairs(paths) do schemas[i] = assert(sq.schema.read(path)) end
  end },
  { "print", function()
    for i, schema in ipairs(schemas) do texts[i] = schema:text() end
  end },
  { "print as JSON", function()
    for _, schema in ipairs(schemas) do schema:json() end
  end },
  { "parse", function()
    for _, text in ipairs(texts) do sq.schema.parse(text) end
  end },
}

print(("%d databases, %.1f MB"):format(#paths, bytes / 1e6))
print(("%-30s %10s %14s"):format("stage", "s", "ms/database"))
for _, stage in ipairs(stages) do
  local seconds = median(stage[2])
  print(("%-30s %10.3f %14.3f"):format(stage[1], seconds, seconds / #paths * 1000))
end

local function whole(name, command)
  local seconds = median(function() assert(os.execute(command .. " >/dev/null")) end)
  print(("%-30s %10.3f"):format(name, seconds))
end
whole("sqlune mschema, whole process", ("%s mschema '%s'"):format(arg[-1], folder))
local python, original = arg[2], arg[3]
if not original then return end
local urls = {}
for i, path in ipairs(paths) do urls[i] = "sqlite:///" .. sq.fs.realpath(path) end
local seconds = require "tests.bench.original"(python, original, urls, ROUNDS, function(command)
  whole("the original, whole process", command)
end)
print(("%-30s %10.3f"):format("the original, databases part", seconds))
