-- recipes/check_gold.lua: runs every gold statement twice, says what is wrong, writes the items that are sound.
local sq = require "sqlune"
local config, fs, json, term, progress = sq.config, sq.fs, sq.json, sq.term, sq.progress
local databases, data = sq.data.databases, sq.data.items
local gold = require "sqlune.evaluate.gold"

local cfg = config.parse(arg, {
  data     = config.path "items with gold SQL: 'sql', 'SQL', 'gold' or 'query', and 'db_name' or 'db_id'",
  db       = config.path "databases: a folder, a connection file (json) or one SQLite file",
  out      = config.path("the items that are sound, as they stand in data; none: only the table", false),
  findings = config.path("what was found, one JSON line an item that is not ok; none: not written", false),
  keep     = config.list("findings that do not keep an item out: missing, error, timeout, empty, unstable", {}),
  workers  = config.integer("processes, 0: one a processor", 0, { min = 0, max = 64 }),
  timeout  = config.number("seconds that one statement may take", 30.0, { min = 0.01 }),
  max_rows = config.integer("most rows of one result", 1000000, { min = 1 }),
  show     = config.integer("findings that are printed one by one", 20, { min = 0 }),
  json     = config.boolean "print the counts as JSON",
}, { positional = { "data", "db" } })

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

local kept = { ok = true }
for _, word in ipairs(cfg.keep) do
  local near = config.nearest(word, gold.FINDINGS)
  if near ~= word then
    config.fail(("keep=%s: there is no such finding%s"):format(word,
      near and (" (did you mean '%s'?)"):format(near) or ""))
  end
  kept[word] = true
end

-- Read the items.
local places = check(databases.open(cfg.db))
local items, known = {}, {}
check(data.each(cfg.data, function(item, where, number)
  local text, wrong = data.text(item, "sql", "SQL", "gold", "gold_sql", "query")
  if not text then return where .. ": " .. (wrong or "'sql' is missing") end
  local name = data.text(item, "db_name", "db_id")
  if not name then return where .. ": 'db_name' is missing" end
  if not known[name] then
    local db, missing = places:find(name)
    known[name] = { db = db, missing = missing, dialect = type(db) == "table" and db.dialect or "sqlite" }
  end
  local place = known[name]
  items[number] = { item = item, name = name, gold = text, db = place.db, missing = place.missing,
    dialect = place.dialect }
end))
if #items == 0 then config.fail(cfg.data .. ": no items") end

-- Run them.
local found
do
  local bar <close> = progress.bar { label = "check_gold", total = #items }
  found = check(gold.check { items = items, workers = cfg.workers, timeout = cfg.timeout, max_rows = cfg.max_rows,
    progress = function(done) bar:update(done) end })
end

-- Say what was found: counts by database, single findings, the sound items.
local counts, order, total, lines, sound = {}, {}, { name = "all", items = 0 }, {}, json.array {}
for i, one in ipairs(found) do
  local item = items[i]
  local name = item.name
  if not counts[name] then
    counts[name] = { name = name, items = 0 }
    order[#order + 1] = counts[name]
  end
  for _, group in ipairs { counts[name], total } do
    group.items = group.items + 1
    group[one.finding] = (group[one.finding] or 0) + 1
  end
  if kept[one.finding] then sound[#sound + 1] = item.item end
  if one.finding ~= "ok" then
    lines[#lines + 1] = json.object("item", i, "db_name", name, "finding", one.finding, "why", one.why or json.null,
      "sql", item.gold)
  end
end
if cfg.out then check(json.write(cfg.out, sound, { indent = 1 })) end
if cfg.findings then
  local text = {}
  for i, line in ipairs(lines) do text[i] = json.encode(line, { replace = true }) .. "\n" end
  check(fs.write(cfg.findings, table.concat(text)))
end

if cfg.json then
  local object = json.object("items", total.items)
  for _, word in ipairs(gold.FINDINGS) do object[word] = total[word] or 0 end
  print(json.encode(object))
  return
end
for i, line in ipairs(lines) do
  if i > cfg.show then break end
  local why = line.why ~= json.null and ": " .. line.why or ""
  print(term.cut(("  item %d, %s, %s%s: %s"):format(line.item, line.db_name, line.finding, why,
    line.sql:gsub("%s+", " ")), term.columns()))
end
if #lines > cfg.show then print(("  … and %d more"):format(#lines - cfg.show)) end
local rows = {}
for _, group in ipairs(order) do
  if group.items ~= (group.ok or 0) then rows[#rows + 1] = group end
end
local sound_databases = #order - #rows
rows[#rows + 1] = total
for i, group in ipairs(rows) do
  rows[i] = { group.name, group.items }
  for _, word in ipairs(gold.FINDINGS) do table.insert(rows[i], group[word] or 0) end
end
print(term.table { columns = { "database", "items", table.unpack(gold.FINDINGS) }, rows = rows, align = "lrrrrrrr",
  width = term.columns() })
print(("  %d database%s where all is ok left out%s"):format(sound_databases, sound_databases == 1 and "" or "s",
  cfg.out and ("     %d items written: %s"):format(#sound, cfg.out) or ""))
