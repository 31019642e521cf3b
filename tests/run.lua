-- Runs tests: sqlune tests/run.lua [words]: cases whose "group/file: name" contains one of the words; none: all.
-- Each file runs in a process of its own, JOBS of them at a time (one a processor, at most 4), so that one that crashes
-- is one failure and no file meets another's memory; a file alone runs in this process, for a debugger. What a file
-- prints comes when it has ended. The last line counts.
package.path = "./?.lua;" .. package.path
local cases = require "tests.cases"
local servers = require "tests.servers"
local sq = require "sqlune"
local t = require "tests.check"
local fs, json = sq.fs, sq.json

local groups = os.getenv "TEST_GROUP" and { os.getenv "TEST_GROUP" }
  or { "core", "db", "golden", "fault", "regress", "dist" }

---Files of many cases that take long: in so many parts, which begin first.
local PARTS = { ["fault/tensor"] = 6 }

---Files that hold work to deadlines of fractions of a second: after all others, with the machine to themselves. (Where
---every instruction is slowed the deadlines are longer, too, and they run among the others.)
local ALONE = { ["db/corpus"] = true, ["db/evaluate"] = true, ["db/hostile"] = true, ["db/hostile_mysql"] = true,
  ["db/hostile_postgresql"] = true, ["db/mysql"] = true, ["db/postgresql"] = true }

---One process of several: runs the job, says how it went, keeps the counts beside the job's file.
if arg[1] == "--job" then
  json.write(arg[2] .. ".count", cases.run(assert(json.read(arg[2]))))
  os.exit(true, true)
end
local words = { ... }

---Whether a word can match a case of the file. One with ": " may hold a case's name; one that is in no file's name must
---be a part of a case's.
local function candidate(file, word, names)
  local part = word:match "^(.-: )" or word
  if (file .. ": "):find(part, 1, true) then return true end
  for _, name in ipairs(names) do
    if (name .. ": "):find(part, 1, true) then return false end
  end
  return true
end

local function wanted(file, names)
  if #words == 0 then return true end
  for _, word in ipairs(words) do
    if candidate(file, word, names) then return true end
  end
  return false
end

local function files()
  local list, mine = {}, {}
  for _, group in ipairs(groups) do
    for _, name in ipairs(fs.list("tests/" .. group) or {}) do
      if name:find "%.lua$" then list[#list + 1] = group .. "/" .. name:gsub("%.lua$", "") end
    end
  end
  for _, file in ipairs(list) do
    if wanted(file, list) then mine[#mine + 1] = file end
  end
  return mine
end

local total = { passed = 0, failed = 0, skipped = 0 }

local function add(count)
  for key in pairs(total) do total[key] = total[key] + count[key] end
end

local function jobs_of(list)
  local jobs = {}
  table.sort(list, function(a, b)
    local x, y = PARTS[a] or 1, PARTS[b] or 1
    return x > y or x == y and a < b
  end)
  for _, file in ipairs(list) do
    local parts = PARTS[file] or 1
    for part = 0, parts - 1 do
      jobs[#jobs + 1] = { file = file, part = part, parts = parts, words = json.array(words) }
    end
  end
  return jobs
end

---The folder of the run: job N is the file N, N.out what it prints, N.count its counts, N.pid its process. Without the
---folder no job begins.
local function run_folder()
  local folder = assert(servers.line "mktemp -d")
  return setmetatable({ path = folder }, { __close = function()
    os.execute(("cat %s/*.pid 2>/dev/null | xargs -r kill 2>/dev/null; rm -rf %s"):format(folder, folder))
  end })
end

local ONE_JOB = [[test -d "$0" || exit 255
sh -c 'echo $$ >"$0/$2.pid"; exec "$1" tests/run.lua --job "$0/$2"' "$0" "$1" "$2" >"$0/$2.out" 2>&1
status=$?; rm -f "$0/$2.pid"; echo $2 $status]]

---Prints what a job printed, and counts; one that did not come to its end is a failure.
local function report(folder, number, job, status)
  local count = json.read(("%s/%d.count"):format(folder, number))
  io.write(fs.read(("%s/%d.out"):format(folder, number)) or "")
  if count then add(count) end
  if not count or status ~= 0 and count.failed == 0 then
    io.write(("FAIL %s: its process ended with %s\n"):format(job.file, status or "nothing said"))
    total.failed = total.failed + 1
  end
  io.stdout:flush()
end

---Runs jobs in processes, so many at a time.
local function run_apart(folder, jobs, lanes)
  local list = {}
  for number, job in ipairs(jobs) do
    assert(json.write(("%s/%d"):format(folder, number), job))
    list[number] = number .. "\n"
  end
  assert(fs.write(folder .. "/list", table.concat(list)))
  local pipe = assert(io.popen(("SQLUNE_RUN=%s SQLUNE_RUN_PID=%d xargs -r -a %s/list -n 1 -P %d "
    .. "--process-slot-var=SQLUNE_LANE sh -c %s %s %s"):format(folder, servers.pid(), folder, lanes,
    servers.quoted(ONE_JOB), folder, servers.quoted(fs.realpath "/proc/self/exe"))))
  for line in pipe:lines() do
    local number, status = line:match "^(%d+) (%d+)$"
    number = assert(math.tointeger(number), line)
    report(folder, number, jobs[number], math.tointeger(status))
    jobs[number] = false
  end
  pipe:close()
  for number, job in ipairs(jobs) do
    if job then report(folder, number, job) end
  end
end

local together, alone = {}, {}
local slowed = t.grace(1) > 1
for _, file in ipairs(files()) do table.insert(ALONE[file] and not slowed and alone or together, file) end
if #together + #alone == 1 then
  add(cases.run { file = together[1] or alone[1], part = 0, parts = 1, words = words })
else
  local folder <close> = run_folder()
  run_apart(folder.path, jobs_of(together), math.tointeger(os.getenv "JOBS") or math.min(sq.workers.processors(), 4))
  run_apart(folder.path, jobs_of(alone), 1)
end
io.write(string.format("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped))
os.exit(total.failed == 0 and 0 or 1, true)
