-- MoMQ against plain LoRA on the example in three dialects: the same base, questions, steps and number of trained
-- parameters; answers executed on SQLite, PostgreSQL and MariaDB. Prints the table of docs/momq.md.
--
--   sqlune tests/bench/momq_dialects.lua base=build/quickstart/base [seeds=3 train=800 …]
--
-- What is there already is not done again. Servers: those of tests/servers.lua.
package.path = "./?.lua;" .. package.path
local sq = require "sqlune"
local momq = require "sqlune.momq"
local questions = require "examples.questions"
local servers = require "tests.servers"
local config, fs, json = sq.config, sq.fs, sq.json

local cfg = config.parse(arg, {
  base  = config.path "the quickstart's model after stage 1",
  out   = config.path("folder for everything that is made", "build/momq-dialects"),
  seeds = config.integer("runs of each method", 3, { min = 1 }),
  train = config.integer("a third of the questions to train on", 800, { min = 3 }),
  test  = config.integer("held-out questions, asked in every dialect", 200, { min = 1 }),
  parts  = config.list("how the training questions are dealt to sqlite, postgresql and mysql", { 1, 1, 1 }),
  epochs = config.number("passes over the data", 2.0, { min = 0.01 }),
  lr     = config.number("of both methods", 4e-3, { min = 0 }),
  stage  = config.one_of({ "all", "data", "LoRA", "MoMQ", "report" },
    "one stage alone: the questions, a method's training and answers, the tables", "all"),
})

local DIALECTS = { "sqlite", "postgresql", "mysql" }
local SQL = { sqlite = "SQL", postgresql = "postgresql", mysql = "mysql" }
-- The same trained parameters: three layers of 21,440, and the norms. MoMQ: 6 experts of rank 4 in down_proj, one
-- shared one, rank 4 elsewhere, and the routers. LoRA: rank 10 everywhere.
local METHODS = {
  { name = "LoRA", settings = { "momq.num_experts=1", "momq.moe_lora_target_modules=", "momq.lora_r=10",
    "momq.lora_alpha=20", "momq.share_expert_num=0", "momq.num_experts_per_tok=1" } },
  { name = "MoMQ", settings = { "momq.num_experts=6", "momq.num_experts_per_tok=1", "momq.share_expert_num=1",
    "momq.lora_r=4", "momq.lora_alpha=8", "momq.dialect_router_loss_coef=0.5", "momq.rate=10" } },
}

local program = fs.realpath "/proc/self/exe"
local function out(...) return fs.join(cfg.out, ...) end

local function run(made, ...)
  if fs.exists(made) then return end
  local words = {}
  for i, word in ipairs { program, ... } do words[i] = servers.quoted(tostring(word)) end
  print("$ sqlune " .. table.concat({ ... }, " "))
  assert(os.execute(table.concat(words, " ") .. " --quiet"))
end

---------------------------------------------------------------------------------------------------------- data

local open, schemas = {}, {}
for name, path in pairs(questions.create_databases(out "db")) do
  open[name] = assert(sq.db.open(path))
  schemas[name] = assert(sq.schema.read(path, { db_id = name })):text { example_num = 0 }
end

local prompt = assert(sq.prompt.load "examples/prompt.lua")
local function conversation(item, dialect, id)
  local sql = item[SQL[dialect]]
  local talk = sq.prompt.conversation(prompt, { question = item.question, evidence = item.evidence,
    schema = schemas[item.db_name], dialect = dialect }, sql)
  return json.object("id", id, "conversations", talk, "sql_type", dialect, "db_name", item.db_name, "question",
    item.question, "sql", sql)
end

---Training questions are dealt to the dialects; the held-out ones are asked in all.
local function write_data()
  local deal = {}
  for k, dialect in ipairs(DIALECTS) do
    for _ = 1, cfg.parts[k] or 1 do deal[#deal + 1] = dialect end
  end
  local train, test = questions.generate { databases = open, seed = 21, train = 3 * cfg.train, test = cfg.test }
  local a, b = json.array {}, json.array {}
  for i, item in ipairs(train) do a[i] = conversation(item, deal[i % #deal + 1], i) end
  for _, dialect in ipairs(DIALECTS) do
    for _, item in ipairs(test) do b[#b + 1] = conversation(item, dialect, #b) end
  end
  assert(json.write(out "test.json", b))
  assert(json.write(out "train.json", a))
end

if not fs.exists(out "train.json") then write_data() end
for _, db in pairs(open) do db:close() end
if cfg.stage == "data" then return end

------------------------------------------------------------------------------------------------------ training

local function folder(method, seed) return out(method.name:lower() .. "-" .. seed) end

local function train(seed, method)
  local to = folder(method, seed)
  run(fs.join(to, "model.safetensors"), "sft", "model=" .. cfg.base, "data=" .. out "train.json", "out=" .. to,
    "seed=" .. seed, "epochs=" .. cfg.epochs, "lr=" .. cfg.lr, "batch_tokens=1600", "max_length=512", "warmup=0.05",
    "beta2=0.99", "weight_decay=0.1", "save_every=0", "momq.enabled=true", "momq.lora_dropout=0",
    "momq.dialects=sqlite=0,postgresql=1,mysql=2", table.unpack(method.settings))
  run(fs.join(to, "predictions.json"), "infer", "model=" .. to, "data=" .. out "test.json",
    "out=" .. fs.join(to, "predictions.json"), "max_tokens=100")
end

for seed = 1, cfg.seeds do
  for _, method in ipairs(METHODS) do
    if cfg.stage == "all" or cfg.stage == method.name then train(seed, method) end
  end
end
if cfg.stage ~= "all" and cfg.stage ~= "report" then return end

---------------------------------------------------------------------------------------------------- evaluation

---Connections to the example databases of a dialect.
local function connections(dialect)
  local list = {}
  for _, domain in ipairs(questions.domains) do
    if dialect == "sqlite" then
      list[domain.name] = out("db", domain.name .. ".sqlite")
    else
      list[domain.name] = servers.new(dialect, "example_" .. domain.name, questions.script(domain.name, dialect))
    end
  end
  return list
end

---1 or 0 for each held-out question of a dialect.
local function judged(to, dialect, databases)
  local cached = fs.join(to, "ex-" .. dialect .. ".json")
  if fs.exists(cached) then return assert(json.read(cached)) end
  local items = {}
  for _, item in ipairs(assert(json.read(fs.join(to, "predictions.json")))) do
    if item.sql_type == dialect then
      items[#items + 1] = { db = databases[item.db_name], gold = item.sql, pred = item.pred_sql or "" }
    end
  end
  local list = json.array {}
  for i, outcome in ipairs(assert(sq.evaluate.run { items = items, workers = 2 })) do
    assert(outcome.verdict ~= "gold_error", outcome.gold_error)
    list[i] = outcome.ex and 1 or 0
  end
  assert(json.write(cached, list))
  return list
end

---Share of each dialect's tokens, prompt and answer, whose likeliest group is their own, over all layers.
local function routed(to)
  local model, tokenizer = assert(sq.models.load(to))
  local experts = model.momq
  if experts.c.num_experts == 1 then return nil end
  local template = assert(sq.data.conversations.template(to))
  local samples = assert(sq.data.conversations.read(out "test.json", tokenizer, template, {}))
  local batches = sq.data.batches.of(samples, { batch_tokens = 1600, accumulation = 1, seed = 1, epochs = 1 })
  sq.no_grad(function()
    for step = 1, batches:steps() do
      local _s <close> = sq.scope()
      local at, batch = momq.context(), batches:at(step)[1]
      model:loss_sum(batch, { at = at })
      experts:losses(at, batch, experts:counts { batch })
    end
  end)
  return experts.statistics:take()()
end

---Mean and 95% interval in percent of a list of numbers, one a question: questions are what is drawn.
local function interval(values)
  local n, sum, squares = #values, 0, 0
  for _, x in ipairs(values) do sum = sum + x end
  for _, x in ipairs(values) do squares = squares + (x - sum / n) ^ 2 end
  local half = n > 1 and 1.96 * math.sqrt(squares / (n - 1) / n) or 0
  return 100 * sum / n, 100 * half
end

---Mean over the seeds for each question.
local function of_questions(method, dialect, databases)
  local mean = {}
  for seed = 1, cfg.seeds do
    for i, x in ipairs(judged(folder(method, seed), dialect, databases)) do
      mean[i] = (mean[i] or 0) + x / cfg.seeds
    end
  end
  return mean
end

local all = { {}, {} }
print("| dialect | LoRA, ex | MoMQ, ex | difference |\n|---|---|---|---|")
local function row(name, a, b)
  local difference = {}
  for i = 1, #a do difference[i] = b[i] - a[i] end
  local x, dx = interval(a)
  local y, dy = interval(b)
  local z, dz = interval(difference)
  print(("| %s | %.1f ± %.1f | %.1f ± %.1f | %+.1f ± %.1f |"):format(name, x, dx, y, dy, z, dz))
end
for _, dialect in ipairs(DIALECTS) do
  local databases, of = connections(dialect), {}
  for k, method in ipairs(METHODS) do
    of[k] = of_questions(method, dialect, databases)
    for i, x in ipairs(of[k]) do all[k][i] = (all[k][i] or 0) + x / #DIALECTS end
  end
  row(dialect, of[1], of[2])
end
row("all", all[1], all[2])
print "\n| MoMQ, seed | sqlite | postgresql | mysql | probability not chosen |\n|---|---|---|---|---|"
for seed = 1, cfg.seeds do
  local s = routed(folder(METHODS[2], seed))
  local cells = {}
  for d = 1, #DIALECTS do cells[d] = ("%.1f%%"):format(100 * s.own_group_by_dialect[d]) end
  print(("| %d | %s | %.1f%% |"):format(seed, table.concat(cells, " | "), 100 * s.dropped))
end
for _, method in ipairs(METHODS) do
  local seconds = 0
  for line in io.lines(fs.join(folder(method, 1), "metrics.jsonl")) do seconds = seconds + json.decode(line).seconds end
  local model = assert(sq.models.load(folder(method, 1)))
  print(("%s: %d trained parameters, %.0f s of training"):format(method.name, model.momq:size(), seconds))
end
