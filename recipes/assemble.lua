-- recipes/assemble.lua: processed items become conversations to train on or, with aug=false, to test with.
local sq = require "sqlune"
local config, term = sq.config, sq.term

local cfg = config.parse(arg, {
  datasets = config.path "data sets: a config in JSON or Lua, or one file of items",
  out      = config.path "file of conversations to write",
  split    = config.one_of({ "train", "test", "all" }, "data sets of the config to take", "train"),
  seed     = 1,
  aug      = config.boolean("augment the data sets that allow it; false for test sets", true),
  augment  = config.path("Lua file with augmentations of your own (examples/my_augment.lua)", false),
  db       = config.path("databases on whose renamed copies rename_tables and rename_columns are checked", false),
  prompt   = config.string("zh, en, or a Lua file with a prompt of your own", "zh"),
  tokenizer  = config.path("folder of the model whose tokenizer and chat template count tokens", false),
  max_length = config.integer("conversations with more tokens are left out, 0: none", 0, { min = 0 }),
  trim       = config.boolean "rather drop what nobody needs from the schema of a long one",
  dedupe     = config.boolean "leave out items that stand twice (database, question, SQL)",
  held_out      = config.number("a share of the databases whose items go to held_out_file", 0.0, { min = 0, max = 1 }),
  held_out_file = config.path("conversations of the databases that are held out", false),
  against       = config.list("benchmarks (files of items) that must not be trained on", {}),
  contamination = config.one_of({ "report", "drop" }, "what happens to items that stand in one", "report"),
  workers = config.integer("Lua states that work, 0: one a processor", 0, { min = 0, max = 64 }),
  json    = false,
  dry_run = false,
}, { positional = { "datasets" } })

if cfg.max_length == 0 then cfg.max_length = nil end
local summary, message = sq.data.assemble(cfg)
if not summary then config.fail(message) end

if cfg.json then
  print(sq.json.encode(summary))
  return
end
local shown = require "sqlune.data.assemble_summary"
print(term.table { columns = shown.pick({ summary.columns }, shown.shown)[1],
  rows = shown.pick(summary.rows, shown.shown) })
if #summary.types > 1 then
  local columns = table.move(summary.columns, 3, #summary.columns, 1, {})
  print(term.table { columns = shown.pick({ columns }, shown.shown_types)[1],
    rows = shown.pick(summary.types, shown.shown_types) })
end
for _, row in ipairs(summary.rows) do
  if row[5] ~= "-" then print(("  %s: left out: %s"):format(row[1], row[5])) end
end
for i = 1, math.min(10, #summary.contaminated) do
  local one = summary.contaminated[i]
  print(("  in a benchmark: %s: %s of %s"):format(one.item, one.shares, one.with))
end
if #summary.contaminated > 0 then
  print(("  %s in a benchmark%s"):format(term.plural(#summary.contaminated, "item"),
    cfg.dry_run and "" or ": " .. cfg.out .. ".contamination.json"))
end
if summary.held_out > 0 then
  print(("  %s held out: %s"):format(term.plural(summary.held_out, "conversation"), cfg.held_out_file))
end
print(("  %s%s"):format(term.plural(summary.items, "conversation"),
  cfg.dry_run and ", nothing written" or ": " .. summary.path))
if #summary.left_out > 0 then
  print(("  left out, of the other split: %s"):format(table.concat(summary.left_out, ", ")))
end
