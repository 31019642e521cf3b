-- recipes/build.lua: training items from executions: predictions that failed, or candidates to choose from.
local sq = require "sqlune"
local config, term = sq.config, sq.term

local cfg = config.parse(arg, {
  task = config.one_of({ "self_refine", "sql2select" }, "predictions that failed; or candidates of several models"),
  pred = config.list("files of predictions, as infer writes them, one for each model"),
  db   = config.path "databases: a folder, a connection file (json) or one SQLite file",
  out  = config.path "raw items to write, for process",
  seed = 1,
  wrong      = config.boolean "self_refine: statements that ran and gave other rows, too",
  candidates = config.integer("sql2select: most candidates of an item", 5, { min = 2 }),
  timeout    = config.number("seconds that one statement may take", 30.0, { min = 0.01 }),
  max_rows   = config.integer("most rows of one result", 100000, { min = 1 }),
  workers    = config.integer("statements at once, 0: one a processor", 0, { min = 0, max = 16 }),
  json    = false,
  dry_run = false,
})

if #cfg.pred == 0 then config.fail("'pred' is empty: write pred=run/a.json,run/b.json", 2) end
local summary, message = sq.data.build[cfg.task](cfg)
if not summary then config.fail(message) end

if cfg.json then
  print(sq.json.encode(summary))
  return
end
local reasons = {}
for why, n in pairs(summary.left_out) do reasons[#reasons + 1] = ("%d %s"):format(n, why) end
table.sort(reasons)
if #reasons > 0 then print("  left out: " .. table.concat(reasons, ", ")) end
if summary.places then
  print(("  the right one by place: %s; by file: %s"):format(table.concat(summary.places, " "),
    table.concat(summary.sources, " ")))
end
print(("  %s%s"):format(term.plural(summary.items, "item"),
  cfg.dry_run and ", nothing written" or (": %s (process raw=%s task=%s)"):format(cfg.out, cfg.out, cfg.task)))
