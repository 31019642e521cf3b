-- recipes/compare.lua: two evaluations of the same items: the difference, McNemar's test, what flipped.
local sq = require "sqlune"
local config, fs, json, term = sq.config, sq.fs, sq.json, sq.term
local paired = require "sqlune.evaluate.paired"

local cfg = config.parse(arg, {
  first  = config.path "run folder of the first evaluation, or its eval.json",
  second = config.path "the same of the second",
  metric = config.one_of({ "ex", "ex_bird", "ex_ordered", "ex_xiyan", "ex_spider", "executable" },
    "what counts as right", "ex"),
  out    = config.path("file for all flips as JSON; none: only the table", false),
  show   = config.integer("flips that are printed", 20, { min = 0 }),
  draws  = config.integer("draws of the bootstrap", 2000, { min = 100 }),
  seed   = config.integer("of the bootstrap", 1),
  json   = config.boolean "print the numbers as JSON",
}, { positional = { "first", "second" } })

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

local function items_of(path)
  if fs.is_dir(path) then path = fs.join(path, "eval.json") end
  local result = check(json.read(path))
  if type(result) ~= "table" or not json.is_array(result.items) then
    config.fail(path .. ": not an eval.json: it has no list of items")
  end
  return result.items
end

local found, why = paired.compare(items_of(cfg.first), items_of(cfg.second), cfg)
if not found then config.fail(("%s and %s: %s"):format(cfg.first, cfg.second, why)) end
if found.items == 0 then config.fail "no item was scored in both" end

local function percent(count) return 100 * count / found.items end

local numbers = json.object("metric", cfg.metric, "items", found.items, "skipped", found.skipped,
  "first", percent(found.a), "second", percent(found.b), "gained", found.gained, "lost", found.lost,
  "p_mcnemar", found.p, "difference_interval_95", json.array(found.interval))
if cfg.out then
  local flips = json.array {}
  for i, flip in ipairs(found.flips) do
    flips[i] = json.object("item", flip.item, "id", flip.a.id, "db_name", flip.a.db_name, "question", flip.a.question,
      "sql", flip.a.sql, "better", flip.better, "first_sql", flip.a.pred_sql, "first_verdict", flip.a.verdict,
      "second_sql", flip.b.pred_sql, "second_verdict", flip.b.verdict)
  end
  check(json.write(cfg.out, json.object("first", cfg.first, "second", cfg.second, "summary", numbers, "flips", flips),
    { indent = 1 }))
end
if cfg.json then
  print(json.encode(numbers))
  return
end

print(term.table { width = term.columns(), align = "lrrrrr",
  columns = { cfg.metric, "first", "second", "difference", "gained", "lost" },
  rows = { { ("%d items"):format(found.items), ("%.1f"):format(percent(found.a)), ("%.1f"):format(percent(found.b)),
    ("%+.1f"):format(percent(found.b - found.a)), found.gained, found.lost } } })
print(("  95%% interval of the difference: %+.1f … %+.1f     McNemar, exact: p = %.3g"):format(found.interval[1],
  found.interval[2], found.p))
if found.skipped > 0 then print(("  %d items left out: gold failed in one of them"):format(found.skipped)) end
for i, flip in ipairs(found.flips) do
  if i > cfg.show then
    print(("  … and %d more%s"):format(#found.flips - cfg.show, cfg.out and " in " .. cfg.out or ""))
    break
  end
  local line = ("%s %d %s  %s → %s  %s"):format(flip.better and "+" or "-", flip.item, flip.a.db_name, flip.a.verdict,
    flip.b.verdict, flip.a.question)
  print("  " .. term.style(term.cut(line, term.columns() - 2), flip.better and "green" or "red"))
end
