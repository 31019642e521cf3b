-- Preference training: pairs from verdicts, the loss against its definition, differences and torch, a run that learns.
local sq = require "sqlune"
local t = require "tests.check"
local preferences = require "sqlune.data.preferences"
local dpo, fs, json, lora, models, ops = sq.dpo, sq.fs, sq.json, sq.lora, sq.models, sq.ops

local program = fs.realpath "/proc/self/exe"

local function shell(command)
  local pipe = io.popen(command .. " 2>&1; echo \"[$?]\"")
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

---A model and an adapter whose numbers are a formula's; f64 or f32.
local function by_formula(dtype)
  local model = assert(models.from_config({
    model_type = "qwen2", hidden_size = 16, intermediate_size = 24, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = 50, tie_word_embeddings = false,
  }, { dtype = dtype }))
  local function formula(x, place)
    local list = {}
    for i = 1, x:numel() do list[i] = ((i * 37 + place * 101) % 257 - 128) / 128 end
    ops.copy_(x, sq.tensor(list, { dtype = dtype }):reshape(x.shape))
  end
  for i, p in ipairs(model:parameters()) do formula(p, i) end
  local adapter = assert(lora.add(model, { r = 2, lora_alpha = 4, target_modules = { "q_proj", "v_proj", "up_proj" } },
    { train = true }))
  for i, p in ipairs(adapter:parameters()) do formula(p, 7 * i) end
  return model, adapter
end

---Two pairs: chosen, rejected, chosen, rejected; 3 and 2 tokens of each are the prompt.
local SEQUENCES <const> = {
  { 3, { 3, 1, 4, 1, 5, 9 } }, { 3, { 3, 1, 4, 2, 6, 5, 3 } }, { 2, { 27, 18, 28, 18 } }, { 2, { 27, 18, 45, 9, 0 } },
}

local function batch()
  local ids, targets, starts = {}, {}, { 0 }
  for _, sequence in ipairs(SEQUENCES) do
    local prompt, list = sequence[1], sequence[2]
    for i, id in ipairs(list) do
      ids[#ids + 1] = id
      targets[#ids] = i >= prompt and list[i + 1] or -100
    end
    starts[#starts + 1] = #ids
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    pairs = 2 }
end

local function loss_of(model, o) return dpo.batch_loss(model, batch(), dpo.reference(model, false), o) end

local cases = {}

cases["the loss is what its formula says"] = function()
  local _s <close> = sq.scope()
  local policy = sq.tensor({ -3.0, -5, -2, -1.5 }, { dtype = "f64" })
  local reference = sq.tensor({ -4.0, -4.5, -2.5, -1 }, { dtype = "f64" })
  local function softplus(x) return math.log(1 + math.exp(x)) end
  local a, b = 0.5 * (1 + 0.5), 0.5 * (0.5 + 0.5)
  local loss, result = dpo.loss(policy, reference, { beta = 0.5 })
  t.near(loss:item(), softplus(-a) + softplus(-b), 1e-12)
  t.eq(result.margins:totable(), { a, b })
  t.eq(result.chosen:totable(), { 0.5, 0.25 })
  t.eq(result.rejected:totable(), { -0.25, -0.25 })
  loss = dpo.loss(policy, reference, { beta = 0.5, smoothing = 0.2 })
  t.near(loss:item(), 0.8 * (softplus(-a) + softplus(-b)) + 0.2 * (softplus(a) + softplus(b)), 1e-12)
  loss = dpo.loss(policy, reference, { beta = 0.5, nll = 0.3 }, { 3, 9, 4, 9 })
  t.near(loss:item(), softplus(-a) + softplus(-b) + 0.3 * (3 / 3 + 2 / 4), 1e-12)
  loss = dpo.loss(policy * 1e4, reference, { beta = 0.5 }) -- without overflow
  t.ok(loss:item() == loss:item() and loss:item() < 1e6)
end

cases["log-probabilities are the labelled tokens'"] = function()
  local _s <close> = sq.scope()
  local model = by_formula "f64"
  local b = batch()
  local at = models.packed(b.starts)
  local logs = ops.log_softmax(model:logits(model:hidden(b.ids, at), at)):totable()
  local targets, want = b.targets:totable(), {}
  for n = 1, 4 do
    want[n] = 0
    for i = b.starts[n] + 1, b.starts[n + 1] do
      if targets[i] ~= -100 then want[n] = want[n] + logs[i][targets[i] + 1] end
    end
  end
  for n, v in ipairs(dpo.log_probabilities(model, b):totable()) do t.near(v, want[n], 1e-10) end
end

cases["gradients against differences, f64"] = function()
  local _s <close> = sq.scope()
  local model, adapter = by_formula "f64"
  local o = { beta = 0.3, smoothing = 0.1, nll = 0.5 }
  loss_of(model, o):backward()
  for _, p in ipairs(model:parameters()) do t.eq(p.grad, nil) end
  for _, name in ipairs { adapter:names()[1], adapter:names()[4], adapter:names()[#adapter:names()] } do
    local p = adapter.by_name[name]
    local flat, g = p:detach():reshape { -1 }, p.grad:reshape { -1 }:totable()
    for i = 1, p:numel(), 5 do
      local _inner <close> = sq.scope()
      local v, h = flat:select(1, i):item(), 1e-5
      local function at(x)
        flat:narrow(1, i, 1):fill_(x)
        return sq.no_grad(function() return (loss_of(model, o)):item() end)
      end
      local numeric = (at(v + h) - at(v - h)) / (2 * h)
      at(v)
      t.near(g[i], numeric, 1e-6 * math.max(1, math.abs(numeric)), name .. " " .. i)
    end
  end
end

cases["as PEFT and torch compute it, f32"] = function()
  local _s <close> = sq.scope()
  local model, adapter = by_formula "f32"
  local loss = loss_of(model, { beta = 0.1 })
  loss:backward()
  local squares = 0
  for _, p in ipairs(adapter:parameters()) do squares = squares + p.grad:square():sum():item() end
  t.near(loss:item(), 1.7527186, 1e-5) -- torch 2.15 with PEFT 0.21.2, f64
  t.near(math.sqrt(squares), 0.91375915, 1e-5)
end

cases["the reference leaves the policy as it was"] = function()
  local _s <close> = sq.scope()
  local model = by_formula "f32"
  local reference = dpo.reference(model, false)
  t.eq(reference(function() return #model.active end), 0)
  t.eq(#model.active, 1)
  t.fails(function() reference(function() error "stop" end) end, "stop")
  t.eq(#model.active, 1)
  t.eq(sq.grad_enabled(), true)
end

local function verdicts(...)
  local list = {}
  for i, entry in ipairs { ... } do list[i] = { pred_sql = entry[1], verdict = entry[2] } end
  return { items = list }
end

cases["pairs from verdicts"] = function()
  local data = {}
  for i = 1, 4 do
    data[i] = { db_name = "shop", sql_type = "sqlite", conversations = {
      { role = "user", content = "question " .. i }, { role = "assistant", content = "gold " .. i } } }
  end
  local evaluations = {
    verdicts({ "a", "correct" }, { "a", "correct" }, { "x", "wrong" }, { "b", "gold_error" }),
    verdicts({ "b", "wrong" }, { "b", "correct" }, { "y", "timeout" }, { "c", "gold_error" }),
    verdicts({ "b", "wrong" }, { "c", "correct" }, { "", "error" }, { "d", "gold_error" }),
    verdicts({ "c", "error" }, { "d", "correct" }, { "x", "wrong" }, { "e", "gold_error" }),
  }
  local list, facts = preferences.build(data, evaluations, { most = 4, gold = true, seed = 1 })
  t.eq(facts, { questions = 4, all_right = 2, all_wrong = 1, pairs = 4 })
  local texts = {}
  for i, pair in ipairs(list) do
    t.eq(#pair.conversations, 1)
    texts[i] = pair.conversations[1].content .. ": " .. pair.chosen .. " > " .. pair.rejected
  end
  table.sort(texts)
  t.eq(texts, { "question 1: a > b", "question 1: a > c", "question 3: gold 3 > x", "question 3: gold 3 > y" })
  list = preferences.build(data, evaluations, { most = 1, gold = false, seed = 1 })
  t.eq(#list, 1)
end

---A workshop: tokenizer, model, data, evaluations of two predictions, pairs made by the recipe.
local function workshop()
  local dir = t.tmpdir()
  local data, right, wrong = json.array {}, json.array {}, json.array {}
  for i, word in ipairs { "name", "total", "price", "street", "book", "city", "year", "author" } do
    local good, bad = "SELECT " .. word .. " FROM shop", "SELECT shop FROM " .. word
    data[i] = { conversations = json.array {
      { role = "user", content = "Which " .. word .. "?" }, { role = "assistant", content = good } } }
    right[i] = { pred_sql = good, verdict = "correct" }
    wrong[i] = { pred_sql = bad, verdict = "wrong" }
  end
  t.ok(json.write(dir .. "/data.json", data))
  t.ok(json.write(dir .. "/right.json", { items = right }))
  t.ok(json.write(dir .. "/wrong.json", { items = wrong }))
  fs.mkdir(dir .. "/model")
  local tokenizer = t.ok(sq.tokenizer.train { texts = { fs.read(dir .. "/data.json") }, vocab_size = 320,
    path = dir .. "/model/tokenizer.json", special = { "<|im_start|>", "<|im_end|>" } })
  local _s <close> = sq.scope()
  assert(assert(models.from_config({
    model_type = "qwen2", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = tokenizer:vocab_size(), tie_word_embeddings = true,
  }, { seed = 3 })):save(dir .. "/model"))
  local command = "'%s' preferences data=%s/data.json evals=%s/right.json,%s/wrong.json out=%s/pairs.json"
  local text, code = shell(command:format(program, dir, dir, dir, dir))
  t.eq(code, 0, text)
  t.ok(text:find "8 pairs of 8 questions", text)
  return dir
end

local function run_dpo(dir, out, settings)
  local command = "'%s' dpo model=%s/model data=%s/pairs.json out=%s/%s lora.rank=4 lr=1e-2 epochs=6 batch_tokens=200 "
  return shell(command:format(program, dir, dir, dir, out) .. "--quiet " .. (settings or ""))
end

local function log_of(dir, out)
  local list = {}
  local it <close> = t.ok(json.items(fs.join(dir, out, "metrics.jsonl")))
  for entry in it do list[#list + 1] = entry end
  return list
end

cases["the margin grows, and a stopped run ends in the same bits"] = function()
  local dir = workshop()
  local text, code = run_dpo(dir, "whole", "lora.dropout=0.1")
  t.eq(code, 0, text)
  local log = log_of(dir, "whole")
  t.near(log[1].loss, math.log(2), 1e-6) -- B is zero: the policy is its reference
  t.ok(log[#log].margin > 0.1 and log[#log].accuracy == 1, "margin " .. log[#log].margin)
  t.ok(log[#log].loss < log[1].loss)
  local function digest(out) return t.ok(fs.sha256(fs.join(dir, out, "adapter_model.safetensors"))) end
  local stop = #log // 2
  t.eq(select(2, run_dpo(dir, "cut", ("lora.dropout=0.1 save_every=%d save_total_limit=0"):format(stop))), 0)
  for _, c in ipairs(sq.train.checkpoints(dir .. "/cut")) do
    if c.step > stop then t.ok(fs.remove_tree(c.path)) end
  end
  text, code = run_dpo(dir, "cut", ("lora.dropout=0.1 save_every=%d resume=true"):format(stop))
  t.eq(code, 0, text)
  t.eq(digest "cut", digest "whole")
end

cases["an adapter is trained on against itself, or against its base"] = function()
  local dir = workshop()
  t.eq(select(2, run_dpo(dir, "first")), 0)
  for reference, check in pairs {
    start = function(entry) t.near(entry.loss, math.log(2), 1e-6) end,
    base = function(entry) t.ok(entry.margin > 0.1) end,
  } do
    local text, code = run_dpo(dir, reference, ("model=%s/first lora.rank=0 dpo.reference=%s"):format(dir, reference))
    t.eq(code, 0, text)
    check(log_of(dir, reference)[1])
  end
end

cases["what is refused names the file and the place"] = function()
  local dir = workshop()
  local function refused(settings, wanted)
    local text, code = run_dpo(dir, "bad", settings)
    t.ok(code == 1 or code == 2, text)
    t.ok(text:find(wanted), text)
    t.ok(not text:find "traceback", text)
  end
  refused("lora.rank=0", "what learns here is an adapter")
  refused("max_length=4", "no pair to train on: 8 too long")
  fs.write(dir .. "/p.json", '[{"conversations": [{"role": "user", "content": "a"}], "chosen": "b"}]')
  refused("data=" .. dir .. "/p.json", "p%.json: item 1 %(line 1%): 'rejected' is missing")
  fs.write(dir .. "/p.json", '[{"conversations": [{"role": "user", "content": "a"}], "chosen": "b", "rejected": "b"}]')
  refused("data=" .. dir .. "/p.json", "1 of one answer twice")
  fs.write(dir .. "/short.json", '{"items": []}')
  local text, code = shell(("'%s' preferences data=%s/data.json evals=%s/short.json out=%s/x.json"):format(program, dir,
    dir, dir))
  t.eq(code, 1)
  t.ok(text:find "short.json has 0 items, .*data.json has 8", text)
end

return cases
