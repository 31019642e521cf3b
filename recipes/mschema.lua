-- recipes/mschema.lua: prints the M-Schema of databases: a SQLite file, a folder of them, or databases of a server.
local sq = require "sqlune"
local config, fs, schema = sq.config, sq.fs, sq.schema

local cfg = config.parse(arg, {
  database = config.path "a SQLite file, a folder of them, postgresql://user@host/name, or a file such as db_conn.json",
  names    = config.list("only these databases; of a server that names none: which ones", {}),
  schema   = config.string("PostgreSQL's schema; none: what the search path finds", false),
  db_id    = config.string("name to print; none: the database's", false),
  tables   = config.list("only these tables", {}),
  ignore   = config.list("not these tables", {}),
  views    = config.boolean("views too", false),
  comments = config.path("comments from elsewhere: a tables.json, a folder database_description, or one of databases",
    false),
  mappings = config.boolean("with comments: value descriptions as what values stand for", false),
  describe = config.boolean("ask a language model for categories and missing comments; see llm", false),
  llm = {
    url   = config.string("base address of an OpenAI-compatible endpoint; none: SQLUNE_LLM_URL", false),
    model = config.string("its name of the model, or a local folder; none: SQLUNE_LLM_MODEL", false),
    cache = config.path("folder that keeps its answers", false),
    language = config.one_of({ "en", "zh" }, "of questions and descriptions", "en"),
  },
  json     = config.path("write the schema as JSON to this file (one database only)", false),
}, { positional = { "database" } })

local places, message = sq.data.databases.open(cfg.database)
if not places then config.fail(message) end
local names = #cfg.names > 0 and cfg.names or places:names()
if #names == 0 then
  config.fail(cfg.database .. (fs.is_dir(cfg.database) and ": no databases in this folder"
    or ": it names no database; give names=…"))
end
if cfg.json and #names > 1 then
  config.fail(("json=… takes one database, %s has %d"):format(cfg.database, #names), 2)
end

local model
if cfg.describe then
  model, message = sq.llm.open { url = cfg.llm.url or nil, model = cfg.llm.model or nil, cache = cfg.llm.cache or nil }
  if not model then config.fail(message) end
end

---Comments from files, then what a language model says.
local function completed(one, name)
  if cfg.comments then
    local found, wrong = sq.comments.open(cfg.comments, name, { mappings = cfg.mappings })
    if not found and wrong then config.fail(wrong) end
    local warnings = { ("%s: no comments of '%s'"):format(cfg.comments, name) }
    if found then
      one, warnings = sq.comments.apply(one, found)
      table.move(found.warnings, 1, #found.warnings, #warnings + 1, warnings)
    end
    for _, text in ipairs(warnings) do io.stderr:write("mschema: ", name, ": ", text, "\n") end
  end
  if not model then return one end
  local described, counts = sq.describe.run(one, model, { language = cfg.llm.language })
  if not described then config.fail(("%s: %s"):format(name, counts)) end
  return described
end

for i, name in ipairs(names) do
  local place, one
  place, message = places:find(name)
  if not place then config.fail(message) end
  one, message = schema.read(place, {
    db_id = cfg.db_id or name, view_support = cfg.views, schema = cfg.schema or nil,
    include_tables = #cfg.tables > 0 and cfg.tables or nil, ignore_tables = #cfg.ignore > 0 and cfg.ignore or nil,
  })
  if not one then config.fail(message) end
  one = completed(one, name)
  if cfg.json then
    local ok
    ok, message = one:save(cfg.json)
    if not ok then config.fail(message) end
  end
  io.write(i > 1 and "\n" or "", one:text(), "\n")
end
