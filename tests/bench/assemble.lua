-- BIRD's 9,428 training questions: the whole `sqlune assemble` with 1 and 2 workers, and the published pipeline's way.
-- sqlune tests/bench/assemble.lua [PYTHON [TIMES]]: PYTHON runs assemble_peer.py; TIMES=11 makes 103,708 items of them.
--
-- BIRD's training databases are not at hand: schemas are made from the names in each database's statements, about the
-- size of BIRD's (69 databases, 7 tables and 50 columns at the mean; at most 12 tables of 12 columns here).
local sq = require "sqlune"

local RUNS = 5
local SHARED = os.getenv "SQLUNE_SHARED" or "../shared"
local python, times = arg[1] or "python3", tonumber(arg[2]) or 1
local raw = SHARED .. "/data/bird/train.json"

if not sq.fs.exists(raw) then
  print("no reference data at " .. SHARED .. " (set SQLUNE_SHARED)")
  os.exit(0)
end

local MOST <const> = 12

---Tables and the other names of a database's statements, in the order in which they come.
local function names_of(items)
  local known = {}
  for _, item in ipairs(items) do
    local of = known[item.db_id] or { tables = {}, columns = {}, seen = {} }
    known[item.db_id] = of
    local list = sq.sql.significant(item.SQL)
    for i, token in ipairs(list) do
      local name, before = token.value, list[i - 1] and list[i - 1].text:upper() or ""
      local is_name = (token.kind == "name" or token.kind == "quoted") and not name:find "^[Tt]%d"
        and not (list[i + 1] and list[i + 1].text == "(") and not name:find "[:,.\n]"
      if is_name and not of.seen[name:lower()] then
        of.seen[name:lower()] = true
        local to = (before == "FROM" or before == "JOIN") and of.tables or of.columns
        to[#to + 1] = name
      end
    end
  end
  return known
end

local function schema_text(name, of)
  local parts, count = { "【DB_ID】 " .. name, "【Schema】" }, math.max(1, math.min(#of.tables, MOST))
  local width = math.min(MOST, math.ceil(#of.columns / count))
  for t = 1, count do
    local lines = { ("(%s_id:INTEGER, Primary Key, Examples: [1, 2, 3])"):format(name) }
    for c = (t - 1) * width + 1, math.min(t * width, #of.columns) do
      local name_of = of.columns[c]
      lines[#lines + 1] = c % 3 == 0 and ("(%s:INTEGER, Examples: [%d, %d, %d])"):format(name_of, c, c * 7, c * 31)
        or ("(%s:TEXT, Examples: [value %d, another, Zoë])"):format(name_of, c)
    end
    parts[#parts + 1] = ("# Table: %s\n[\n%s\n]"):format(of.tables[t] or name, table.concat(lines, ",\n"))
  end
  parts[#parts + 1] = "【Foreign keys】"
  for t = 2, count do
    parts[#parts + 1] = ("%s.%s_id=%s.%s_id"):format(of.tables[t], name, of.tables[t - 1], name)
  end
  return table.concat(parts, "\n")
end

local folder = sq.fs.tmpdir()
local file, total, length = folder .. "/bird_nl2sqlite.json", 0, 0
do
  local items = assert(sq.json.read(raw))
  local schemas = {}
  for name, of in pairs(names_of(items)) do schemas[name] = schema_text(name, of) end
  local writer <close> = assert(sq.json.writer(file, { indent = 2 }))
  for _ = 1, times do
    for _, item in ipairs(items) do
      local schema = schemas[item.db_id]
      writer:add(sq.json.object("idx", total, "db_name", item.db_id, "question", item.question, "evidence",
        item.evidence, "db_schema", schema, "sql", item.SQL))
      total, length = total + 1, length + #schema
    end
  end
  assert(writer:commit())
end

---Seconds, processor seconds and peak memory (MB) of a command: the least and the median of several runs each.
local function measure(command, runs)
  local lists = { {}, {}, {} }
  for i = 1, runs do
    local log = folder .. "/time"
    assert(os.execute(("/usr/bin/time -o %s -f '%%e %%U %%S %%M' %s >/dev/null 2>&1"):format(log, command)),
      "this failed: " .. command)
    local wall, user, system, memory = assert(sq.fs.read(log)):match "([%d.]+) ([%d.]+) ([%d.]+) (%d+)"
    lists[1][i], lists[2][i], lists[3][i] = tonumber(wall), user + system, memory / 1024
  end
  for _, list in ipairs(lists) do
    table.sort(list)
    list.median = list[(#list + 1) // 2]
  end
  return table.unpack(lists)
end

local commands = {}
for _, workers in ipairs { 1, 2, 3 } do
  commands[#commands + 1] = { ("sqlune assemble workers=%d"):format(workers),
    ("%s assemble %s out=%s/w%d.json workers=%d --quiet"):format(arg[-1], file, folder, workers, workers) }
end
commands[#commands + 1] = { "the published way, Python",
  ("%s tests/bench/assemble_peer.py %s %s/peer.json"):format(python, file, folder) }

print(("%d items, schemas of %.0f bytes"):format(total, length / total))
print(("%-26s %15s %15s %8s %8s"):format("whole process: least/median", "s", "processor s", "peak MB", "items/s"))
for _, command in ipairs(commands) do
  local wall, processor, memory = measure(command[2], times > 1 and 1 or RUNS)
  print(("%-26s %7.2f /%6.2f %7.2f /%6.2f %8.0f %8.0f"):format(command[1], wall[1], wall.median, processor[1],
    processor.median, memory.median, total / wall.median))
end
local first = assert(sq.fs.sha256(folder .. "/w1.json"))
for workers = 2, 3 do
  assert(sq.fs.sha256(("%s/w%d.json"):format(folder, workers)) == first, "another number of workers, another file")
end
print "the same file with 1, 2 and 3 workers"
sq.fs.remove_tree(folder)
