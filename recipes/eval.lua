-- recipes/eval.lua: runs gold and predicted SQL on the databases and reports ex, ex_bird and executable.
local sq = require "sqlune"
local config, fs, json, term, progress, sql = sq.config, sq.fs, sq.json, sq.term, sq.progress, sq.sql
local evaluate, report, evaluation = sq.evaluate, sq.report, require "sqlune.report.evaluation"
local training = require "sqlune.report.training"
local databases, data = sq.data.databases, sq.data.items
local secret = require "sqlune.secret"

local cfg = config.parse(arg, {
  pred     = config.path "predictions, as infer writes them: items with 'pred_sql'",
  db       = config.path "databases: a folder, a connection file (json) or one SQLite file",
  out      = config.path("folder for eval.json and report.html", "run/eval"),
  gold     = config.path("items with the gold SQL, in the order of the predictions; none: it stands in pred", false),
  workers  = config.integer("threads, 0: one a processor", 0, { min = 0, max = 16 }),
  timeout  = config.number("seconds that one statement may take", 30.0, { min = 0.01 }),
  max_rows = config.integer("most rows of one result", 1000000, { min = 1 }),
  samples  = config.integer("rows of both results that the report shows of a failure", 8, { min = 0, max = 1000 }),
  training = config.list("run folders whose loss curves the report shows, in the order of training", {}),
  json     = config.boolean "print the summary as JSON",
  dry_run  = config.boolean "check the settings and the input, then end",
}, { positional = { "pred", "db" } })

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

-- What is to be run: database, gold and prediction of each item.
local places = check(databases.open(cfg.db))
local items, golds = {}, {}

local function text_of(item, where, what, ...)
  local text, wrong = data.text(item, ...)
  if wrong then return nil, where .. ": " .. wrong end
  return text, text == nil and ("%s: '%s' is missing"):format(where, what) or nil
end

if cfg.gold then
  check(data.each(cfg.gold, function(item, where)
    local gold, wrong = text_of(item, where, "sql", "sql", "SQL", "gold", "gold_sql", "query")
    golds[#golds + 1] = { sql = gold, item = item, where = where }
    return wrong
  end))
end

check(data.each(cfg.pred, function(item, where, number)
  local source, source_where = item, where
  if cfg.gold then
    if not golds[number] then return ("%s: %s has only %d items"):format(where, cfg.gold, #golds) end
    source, source_where = golds[number].item, golds[number].where
  end
  local gold, wrong = text_of(source, source_where, "sql", "sql", "SQL", "gold", "gold_sql", "query")
  if wrong then return wrong end
  if item.pred_sql == json.null then item.pred_sql = "" end -- the model gave nothing: its error, not the file's
  local pred
  pred, wrong = text_of(item, where, "pred_sql", "pred_sql", "pred", "prediction")
  if wrong then return wrong end
  local name = data.text(item, "db_name", "db_id") or data.text(source, "db_name", "db_id")
  if not name then return where .. ": 'db_name' is missing" end
  local path, missing = places:find(name)
  items[number] = {
    name = name, db = path, missing = missing, gold = sql.unfence(gold), pred = sql.unfence(pred), number = number,
    question = data.text(item, "question") or data.text(source, "question") or "",
  }
end))
if #items == 0 then config.fail(cfg.pred .. ": no items") end
if cfg.gold and #items ~= #golds then
  config.fail(("%s has %d items, %s has %d"):format(cfg.pred, #items, cfg.gold, #golds))
end

local names = {}
for i, item in ipairs(items) do names[i] = item.name end
if cfg.dry_run then
  print(("  %d items, nothing run"):format(#items))
  return
end
check(fs.mkdir(cfg.out))

-- Run and judge.
local outcomes
do
  local bar <close> = progress.bar { label = "eval", total = #items }
  outcomes = evaluate.run {
    items = items, workers = cfg.workers, timeout = cfg.timeout, max_rows = cfg.max_rows, samples = cfg.samples,
    progress = function(done) bar:update(done) end,
  }
end
local all, groups = evaluate.summary(outcomes, names)
local interval = all.scored > 0 and { evaluate.interval(all.correct, all.scored) } or nil

-- Say it: eval.json, report.html, a table.
local function counts_json(counts)
  return json.object("items", counts.items, "scored", counts.scored, "ex", counts.ex or json.null,
    "ex_bird", counts.ex_bird or json.null, "executable", counts.executable or json.null, "correct", counts.correct,
    "wrong", counts.wrong, "error", counts.error, "timeout", counts.timeout, "gold_error", counts.gold_error)
end

local summary = json.object("all", counts_json(all), "ex_interval_95", interval or json.null)
summary.databases = json.object()
for _, group in ipairs(groups) do summary.databases[group.name] = counts_json(group) end

local verdicts = json.array {}
for i, outcome in ipairs(outcomes) do
  local item = items[i]
  local line = json.object("item", i, "db_name", item.name, "question", item.question, "sql", item.gold,
    "pred_sql", item.pred, "verdict", outcome.verdict, "ex", outcome.ex, "ex_bird", outcome.ex_bird,
    "executable", outcome.executable)
  for _, key in ipairs { "gold_error", "gold_code", "pred_error", "pred_code", "gold_rows", "pred_rows", "gold_seconds",
    "pred_seconds" } do line[key] = outcome[key] end
  verdicts[i] = line
end

local eval_path, report_path = fs.join(cfg.out, "eval.json"), fs.join(cfg.out, "report.html")
check(json.write(eval_path, json.object("pred", cfg.pred, "db", secret.hide(cfg.db), "timeout", cfg.timeout, "max_rows",
  cfg.max_rows, "summary", summary, "items", verdicts), { indent = 1, replace = true }))
local page = evaluation.page {
  title = "Evaluation of " .. cfg.pred, items = items, outcomes = outcomes, all = all, groups = groups,
  interval = interval,
  facts = { { "predictions", cfg.pred }, { "gold", cfg.gold or cfg.pred }, { "databases", secret.hide(cfg.db) },
    { "seconds a statement", cfg.timeout }, { "rows of a result", cfg.max_rows } },
}
if #cfg.training > 0 then table.insert(page.sections, 2, check(training.section(cfg.training))) end
check(report.write(report_path, page))

if cfg.json then
  print(json.encode(summary))
else
  local columns, rows, total = evaluation.table(all, groups)
  rows[#rows + 1] = total
  local widest = 0
  for _, row in ipairs(rows) do widest = math.max(widest, term.width(row[1])) end
  if widest > term.columns() - 72 then columns[5], columns[9] = "exec", "gold" end -- room for the databases' names
  print(term.table { columns = columns, rows = rows, align = "lrrrrrrrr", width = term.columns() })
  if interval then
    print(("  95%% interval of ex: %.1f … %.1f     report: %s"):format(interval[1], interval[2], report_path))
  else
    print("  no item could be scored: gold failed everywhere     report: " .. report_path)
  end
end
