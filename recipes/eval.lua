-- recipes/eval.lua: runs gold and predicted SQL on the databases and reports ex, ex_bird, soft_f1 and other metrics.
local sq = require "sqlune"
local config, fs, json, term, progress = sq.config, sq.fs, sq.json, sq.term, sq.progress
local evaluate, report, databases = sq.evaluate, sq.report, sq.data.databases
local breakdown, digests, input = require "sqlune.evaluate.breakdown", require "sqlune.evaluate.digests",
  require "sqlune.evaluate.input"
local journals, result = require "sqlune.evaluate.journal", require "sqlune.evaluate.result"
local evaluation, training = require "sqlune.report.evaluation", require "sqlune.report.training"

local PREPARE = { "sqlune", "none", "xiyan_extract", "bird_file", "bird_infer", "bird_live", "testsuite",
  "testsuite_keep_distinct" }

local cfg = config.parse(arg, {
  pred        = config.path "predictions, as infer writes them: items with 'pred_sql'",
  db          = config.path "databases: a folder, a connection file (json) or one SQLite file",
  out         = config.path("folder for eval.json and report.html", "run/eval"),
  gold        = config.path("items with the gold SQL, in the order of the predictions; none: it stands in pred", false),
  workers     = config.integer("processes, 0: one a processor", 0, { min = 0, max = 64 }),
  timeout     = config.number("seconds that one statement may take", 30.0, { min = 0.01 }),
  max_rows    = config.integer("most rows of one result", 1000000, { min = 1 }),
  postprocess = config.one_of(PREPARE, "how a statement is cut out of a prediction (docs/metrics.md)", "sqlune"),
  tolerance   = config.number("relative, of numbers that shall be equal nevertheless; 0: none", 0.0, { min = 0 }),
  rounds      = config.integer("times that both statements are timed for r_ves, which needs 2; 100 is BIRD's", 0,
    { min = 0, max = 10000 }),
  suite       = config.boolean "right is what is right on every *.sqlite of the database's folder",
  cache       = config.path("folder that keeps gold results for the next evaluation; none: no cache", false),
  leave_out   = config.path("ids of items that a second set of numbers leaves out: JSON or one a line", false),
  by          = config.list("breakdowns that are printed: database, difficulty, dialect, feature", { "database" }),
  resume      = config.boolean("go on with an evaluation that stopped in 'out'", true),
  samples     = config.integer("rows of both results that the report shows of a failure", 8, { min = 0, max = 1000 }),
  training    = config.list("run folders whose loss curves the report shows, in the order of training", {}),
  json        = config.boolean "print the summary as JSON",
  dry_run     = config.boolean "check the settings and the input, then end",
}, { positional = { "pred", "db" } })

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

for _, kind in ipairs(cfg.by) do
  local near = config.nearest(kind, breakdown.KINDS)
  check(table.concat(breakdown.KINDS, " "):find(kind, 1, true), ("by=%s: there is no such breakdown%s"):format(kind,
    near and (" (did you mean '%s'?)"):format(near) or ""))
end

-- What is to be run: database, gold and prediction of each item.
local items = check(input.read { pred = cfg.pred, gold = cfg.gold or nil, places = check(databases.open(cfg.db)),
  postprocess = cfg.postprocess, suite = cfg.suite })
local left_out = cfg.leave_out and check(input.leave_out(cfg.leave_out)) or nil
if cfg.dry_run then
  print(("  %d items, nothing run"):format(#items))
  return
end
check(fs.mkdir(cfg.out))

-- Run and judge; verdicts go to a journal, from which the next run goes on if this one stops.
local journal = check(journals.open(fs.join(cfg.out, "verdicts.jsonl"), function()
  return input.digest(items, { cfg.timeout, cfg.max_rows, cfg.tolerance, cfg.rounds, cfg.suite, cfg.samples })
end, cfg.resume))
local _flush <close> = setmetatable({}, { __close = function() journal:flush() end }) -- however this ends
if journal.count > 0 then
  io.stderr:write(("sqlune eval: %d of %d verdicts are there already (%s)\n"):format(journal.count, #items,
    journal.path))
end

local function each_database()
  local set = {}
  for _, item in ipairs(items) do
    for _, db in ipairs(item.dbs or { item.db }) do set[db] = true end
  end
  return set
end

local outcomes, message
do
  local bar <close> = progress.bar { label = "eval", total = #items }
  local written = sq.sys.clock()
  outcomes, message = evaluate.run {
    items = items, workers = cfg.workers, timeout = cfg.timeout, max_rows = cfg.max_rows, samples = cfg.samples,
    rounds = cfg.rounds, tolerance = cfg.tolerance, done = journal.outcomes,
    cache = cfg.cache or nil, digests = cfg.cache and check(digests.of(each_database(), cfg.cache)) or nil,
    finished = function(i, outcome) journal:add(i, outcome) end,
    progress = function(done)
      bar:update(done)
      if sq.sys.clock() - written > 1 then
        check(journal:flush())
        written = sq.sys.clock()
      end
    end,
  }
end
if not outcomes then
  config.fail(("%s; what was judged stands in %s: run the same command again to go on"):format(message, journal.path))
end

-- Say it: eval.json, report.html, a table.
local run = result.of(items, outcomes, { cfg = cfg, left_out = left_out })
local eval_path, report_path = fs.join(cfg.out, "eval.json"), fs.join(cfg.out, "report.html")
check(json.write(eval_path, result.json(run), { indent = 1, replace = true }))
local page = evaluation.page(run)
if #cfg.training > 0 then table.insert(page.sections, 2, check(training.section(cfg.training))) end
check(report.write(report_path, page))
journal:finish()

if cfg.json then
  print(json.encode(result.summary_json(run)))
else
  for _, kind in ipairs(cfg.by) do
    local columns, rows, total = evaluation.table(run.all, run.groups[kind] or {}, kind)
    rows[#rows + 1] = total
    local widest = term.width(kind)
    for _, row in ipairs(rows) do widest = math.max(widest, term.width(row[1])) end
    if widest > term.columns() - 72 then columns[5], columns[9] = "exec", "gold" end -- room for the names
    print(term.table { columns = columns, rows = rows, align = "lrrrrrrrr", width = term.columns() })
  end
  for _, line in ipairs(evaluation.lines(run)) do print("  " .. line) end
  if run.interval then
    print(("  95%% interval of ex: %.1f … %.1f     report: %s"):format(run.interval[1], run.interval[2], report_path))
  else
    print("  no item could be scored: gold failed everywhere     report: " .. report_path)
  end
end
