-- recipes/translate.lua: items in another dialect; what does not give the same rows in both databases is left out.
local sq = require "sqlune"
local config, term = sq.config, sq.term

local cfg = config.parse(arg, {
  raw   = config.path "items with their SQL (db_name or db_id, question, evidence, SQL)",
  db    = config.path "databases in the items' dialect: a folder, a connection file or a URL",
  to_db = config.path "databases in the other dialect, with the same names and the same data",
  out   = config.path "raw items to write, for process",
  timeout  = config.number("seconds that one statement may take", 10.0, { min = 0.01 }),
  max_rows = config.integer("most rows of one result", 100000, { min = 1 }),
  workers  = config.integer("statements at once, 0: one a processor", 0, { min = 0, max = 16 }),
  json    = false,
  dry_run = false,
})

local summary, message = sq.data.translated(cfg)
if not summary then config.fail(message) end

if cfg.json then
  print(sq.json.encode(summary))
  return
end
local rows = {}
for why, n in pairs(summary.left_out) do rows[#rows + 1] = { why, n } end
table.sort(rows, function(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] < b[1] end)
if #rows > 0 then print(term.table { columns = { "left out", "items" }, rows = rows }) end
print(("  %d of %s from %s to %s%s"):format(summary.items, term.plural(summary.read, "item"), summary.from, summary.to,
  cfg.dry_run and ", nothing written" or ": " .. cfg.out))
