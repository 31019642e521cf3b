-- recipes/quickstart.lua: the whole job on the bundled example, each step as one would type it. A step whose inputs are
-- unchanged since the last run is not repeated.
local sq = require "sqlune"
local config, fs, json, term = sq.config, sq.fs, sq.json, sq.term
local cell = require("sqlune.rows").cell

local cfg = config.parse(arg, {
  out   = config.path("folder for everything that is made", "build/quickstart"),
  seed  = config.integer("of the questions, the augmentation, the weights and the training", 1),
  train = config.integer("questions to train on", 12000, { min = 100 }),
  test  = config.integer("questions held out", 200, { min = 10 }),
  pretrain_epochs = config.number("passes of stage 1, 0: as configs/example/pretrain.lua says", 0, { min = 0 }),
  sft_epochs      = config.number("passes of stage 2, 0: as configs/example/sft.lua says", 0, { min = 0 }),
  device = sq.models.options.device,
  fresh = config.boolean "repeat every step",
})

local program, here = fs.realpath "/proc/self/exe", fs.realpath "." .. "/"
local home = fs.dirname(fs.dirname(fs.realpath(debug.getinfo(1, "S").source:sub(2)))) .. "/"
if home == here then home = "" end
local started = sq.sys.clock()
local function out(name) return fs.join(cfg.out, name) end

local function check(value, message)
  if value == nil or value == false then config.fail(message or "it failed") end
  return value
end

local function quote(text)
  return text:find "^[%w%._/=,:+-]+$" and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

---What a step is made from: its words, the program, and the contents of the files that it reads.
local function digest_of(words, inputs)
  local parts = { table.concat(words, "\0"), check(fs.sha256(program)) }
  for _, path in ipairs(inputs) do parts[#parts + 1] = check(fs.sha256(path)) end
  return fs.sha256_bytes(table.concat(parts, "\0"))
end

local repeated = cfg.fresh

---What a training that was broken off needs to go on: its checkpoints, if the same was begun. Others are cleared away.
local function words_to_resume(folder, begun, digest)
  if #sq.train.checkpoints(folder) == 0 then return {} end
  if not cfg.fresh and fs.read(begun) == digest then return { "resume=true" } end
  check(fs.remove_tree(folder))
  return {}
end

---Runs a step unless its stamp says that the same was done before. `inputs` are the files that it reads, `made` is what
---it leaves behind. A training goes on from the checkpoint of the last run if an interrupt left one.
local function step(title, made, inputs, words)
  local name = made:sub(#cfg.out + 2):gsub("/", "-")
  local stamp, begun, digest = out(".done/" .. name), out(".done/" .. name .. ".begun"), digest_of(words, inputs)
  local done = not repeated and fs.exists(made) and fs.read(stamp) == digest
  if words[1] == "sft" and not done then
    table.move(words_to_resume(fs.dirname(made), begun, digest), 1, 1, #words + 1, words)
  end
  local shown = {}
  for i, word in ipairs(words) do shown[i] = quote(word) end
  print(("\n%s\n%s sqlune %s"):format(term.style(title, "bold"), term.style("$", "cyan"), table.concat(shown, " ")))
  if done then
    print(term.style("  unchanged since the last run: " .. made, "dim"))
    return
  end
  repeated = true -- what follows stands on this
  check(fs.write(begun, digest))
  local _, how, code = os.execute(quote(program) .. " " .. table.concat(shown, " "))
  if how == "signal" then os.exit(128 + code, true) end
  if code ~= 0 then os.exit(code, true) end
  check(fs.exists(made), made .. " was not made")
  check(fs.write(stamp, digest))
end

io.stdout:setvbuf "line" -- in order with what the steps print
check(fs.mkdir(out ".done"))

step("Six databases, questions about them and their SQL", out "test.json", {}, {
  home .. "examples/make.lua", "out=" .. cfg.out, "seed=" .. cfg.seed, "train=" .. cfg.train, "test=" .. cfg.test,
})
step("The databases as M-Schema beside each question", out "data/train_nl2sqlite.json", { out "train.json" }, {
  "process", "raw=" .. out "train.json", "db=" .. out "db", "out=" .. out "data", "examples=0",
})
step("The same for the held-out questions", out "held-out/test_nl2sqlite.json", { out "test.json" }, {
  "process", "raw=" .. out "test.json", "db=" .. out "db", "out=" .. out "held-out", "examples=0",
})
step("Conversations to train on, their schemas augmented", out "train-conversations.json",
  { out "data/train_nl2sqlite.json", home .. "examples/prompt.lua" }, {
    "assemble", out "data/train_nl2sqlite.json", "out=" .. out "train-conversations.json", "seed=" .. cfg.seed,
    "prompt=" .. home .. "examples/prompt.lua",
  })
step("Conversations to test with", out "test-conversations.json",
  { out "held-out/test_nl2sqlite.json", home .. "examples/prompt.lua" }, {
    "assemble", out "held-out/test_nl2sqlite.json", "out=" .. out "test-conversations.json", "aug=false",
    "prompt=" .. home .. "examples/prompt.lua",
  })
step("A tokenizer learned from them, and a small model with random weights", out "model/model.safetensors",
  { out "train-conversations.json", home .. "configs/example/model.lua" }, {
    "new", home .. "configs/example/model.lua", "data=" .. out "train-conversations.json", "out=" .. out "model",
    "seed=" .. cfg.seed,
  })
local function placed(words)
  if cfg.device ~= "cpu" then words[#words + 1] = "device=" .. cfg.device end
  return words
end
local function stage(words, epochs)
  if epochs > 0 then words[#words + 1] = "epochs=" .. epochs end
  return placed(words)
end
step("Stage 1: a base learns from every token", out "base/model.safetensors",
  { out "train-conversations.json", out "model/model.safetensors", home .. "configs/example/pretrain.lua" }, stage({
    "sft", home .. "configs/example/pretrain.lua", "model=" .. out "model", "data=" .. out "train-conversations.json",
    "out=" .. out "base", "seed=" .. cfg.seed,
  }, cfg.pretrain_epochs))
step("Stage 2: fine-tuned on the answers", out "sft/model.safetensors",
  { out "train-conversations.json", out "base/model.safetensors", home .. "configs/example/sft.lua" }, stage({
    "sft", home .. "configs/example/sft.lua", "model=" .. out "base", "data=" .. out "train-conversations.json",
    "out=" .. out "sft", "seed=" .. cfg.seed,
  }, cfg.sft_epochs))
step("SQL for the held-out questions", out "predictions.json",
  { out "test-conversations.json", out "sft/model.safetensors" }, placed {
  "infer", "model=" .. out "sft", "data=" .. out "test-conversations.json", "out=" .. out "predictions.json",
})
step("Both statements run: how many answers are right?", out "eval/eval.json", { out "predictions.json" }, {
  "eval", "pred=" .. out "predictions.json", "db=" .. out "db", "out=" .. out "eval",
  "training=" .. out "base" .. "," .. out "sft",
})

-- The end: up to three right answers with their rows, and where to read on.
local verdicts = check(json.read(out "eval/eval.json"))
local function first_right(pattern)
  for _, item in ipairs(verdicts.items) do
    if item.verdict == "correct" and item.pred_rows > 0 and item.pred_sql:find(pattern) then return item end
  end
end

for _, pattern in ipairs { "ORDER BY", " JOIN .* GROUP BY ", "IN %(SELECT" } do
  local item = first_right(pattern)
  if item then
    local db <close> = check(sq.db.open(out("db/" .. item.db_name .. ".sqlite")))
    local result = check(db:query(item.pred_sql))
    local shown = {}
    for i = 1, math.min(#result.rows, 4) do
      shown[i] = {}
      for k = 1, #result.columns do shown[i][k] = cell(result.rows[i][k]) end
    end
    print(("\n  %s: %s\n  %s"):format(item.db_name, item.question, term.style(item.pred_sql, "green")))
    print(term.table { columns = result.columns, rows = shown, indent = 4 })
    if #result.rows > #shown then print(("    … and %d more"):format(#result.rows - #shown)) end
  end
end

local all = verdicts.summary.all
print(("\n%s of %d held-out questions answered with the right rows: ex %.1f%%, in %s"):format(
  term.style(tostring(all.correct), "bold"), all.scored, all.ex, term.duration(sq.sys.clock() - started)))
print(("The loss curve and every failure: %s"):format(out "eval/report.html"))
