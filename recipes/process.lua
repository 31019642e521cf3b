-- recipes/process.lua: raw questions and their databases become items that hold their M-Schema.
local sq = require "sqlune"
local config, term = sq.config, sq.term

local cfg = config.parse(arg, {
  raw      = config.path "questions: db_id or db_name, question, evidence, SQL (JSON or JSON Lines)",
  db       = config.path("folder of databases, or a connection file such as db_conn.json", false),
  schemas  = config.path("instead of db: schemas as texts, a JSON file {name: text} or a folder of NAME.txt", false),
  out      = config.path "folder for the items, the schemas and datasets.json",
  task     = config.string("nl2sql (nl2sqlite, cypher … by the dialect), generic, self_refine, sql2select, "
    .. "question_inference or evidence_inference", "nl2sql"),
  dialect  = config.string("sqlite, postgresql, mysql, cypher or ngql, where no databases say it", false),
  name     = config.string("name of the data set; none: the name of the raw file", false),
  datasets = config.path("config that lists the data set; none: OUT/datasets.json", false),
  split    = config.one_of({ "auto", "train", "test" }, "auto: test if RAW's name has the word test or dev", "auto"),
  comments = config.path("comments from elsewhere: a tables.json, a folder of databases with database_description",
    false),
  mappings = config.boolean("with comments: value descriptions as what values stand for", false),
  examples = config.integer("example values that the M-Schema shows of a column", 3, { min = 0 }),
  data_aug = config.boolean("assemble may augment these items", true),
  skip_missing = config.boolean "leave out questions whose database does not exist",
  seed     = config.integer("of the candidates of evidence_inference", 1),
  json     = false,
  dry_run  = false,
})

if cfg.split == "auto" then cfg.split = nil end
local summary, message = sq.data.process(cfg)
if not summary then config.fail(message) end

if cfg.json then
  print(sq.json.encode(summary))
  return
end
local shown = table.move(summary.rows, 1, 20, 1, {})
print(term.table { columns = { "database", "items", "tables", "columns", "characters" }, rows = shown })
if #summary.rows > #shown then print(("  … and %d more"):format(#summary.rows - #shown)) end
if summary.skipped > 0 then print(("  %s left out: no database"):format(term.plural(summary.skipped, "item"))) end
if summary.without_evidence > 0 then
  print(("  %s left out: no evidence"):format(term.plural(summary.without_evidence, "item")))
end
print(("  %s of %s%s"):format(term.plural(summary.items, "item"), term.plural(#summary.rows, "database"),
  cfg.dry_run and ", nothing written" or (": %s, listed in %s (split %s)"):format(summary.path, summary.datasets,
    summary.split)))
