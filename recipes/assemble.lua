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
  prompt   = config.string("zh, en, or a Lua file with a prompt of your own", "zh"),
  json     = false,
  dry_run  = false,
}, { positional = { "datasets" } })

local summary, message = sq.data.assemble(cfg)
if not summary then config.fail(message) end

if cfg.json then
  print(sq.json.encode(summary))
  return
end
print(term.table {
  columns = { "data set", "task", "items", "used", "augmented", "characters" }, rows = summary.rows,
})
print(("  %s%s"):format(term.plural(summary.items, "conversation"),
  cfg.dry_run and ", nothing written" or ": " .. summary.path))
if #summary.left_out > 0 then
  print(("  left out, of the other split: %s"):format(table.concat(summary.left_out, ", ")))
end
