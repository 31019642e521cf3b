-- Every mode of training: resumed it ends in the same bits, evaluation changes nothing, checkpointed layers give equal
-- gradients, a gradient that is not finite is skipped, the best model is kept, data sets join and are cached.
local sq = require "sqlune"
local t = require "tests.check"
local workshop = require "tests.workshop"
local fs, json, models = sq.fs, sq.json, sq.models
local sft, weights = workshop.sft, workshop.weights

local cases = {}

local function ran(dir, out, settings)
  local text, code = sft(dir, out, settings)
  t.eq(code, 0, settings .. ": " .. text)
  return text
end

---Trains whole, then again with a checkpoint at `stop`, throws away what came later, and resumes.
local function check_resume(dir, name, settings)
  ran(dir, name, settings)
  local entries = workshop.entries(dir, name)
  for _, stop in ipairs { 1, #entries // 2 } do
    local out = name .. stop
    ran(dir, out, ("%s save_every=%d save_total_limit=0"):format(settings, stop))
    t.eq(weights(dir, out), weights(dir, name), name .. ": saving changes the run")
    for _, c in ipairs(sq.train.checkpoints(fs.join(dir, out))) do
      if c.step > stop then t.ok(fs.remove_tree(c.path)) end
    end
    for _, file in ipairs { "model.safetensors", "adapter_model.safetensors", "best.json" } do
      fs.remove(fs.join(dir, out, file))
    end
    ran(dir, out, ("%s save_every=%d resume=true"):format(settings, stop))
    t.eq(weights(dir, out), weights(dir, name), out)
    local again = workshop.entries(dir, out)
    t.eq(#again, #entries, out .. ": the log has every step once")
    for i, entry in ipairs(entries) do
      for _, key in ipairs { "step", "loss", "grad_norm", "lr", "tokens", "eval_loss", "eval_ex" } do
        t.eq(again[i][key], entry[key], ("%s, step %d, %s"):format(out, i, key))
      end
    end
  end
end

local modes = {
  ["8-bit states"] = "states=8bit",
  ["stochastic rounding, 8-bit states"] = "dtype=bf16 stochastic_rounding=true states=8bit",
  ["bf16 gradients"] = "dtype=bf16 gradients=bf16 accumulation=2 stochastic_rounding=true states=8bit",
  ["best fit"] = "batching=best_fit accumulation=2",
  ["grouped by length"] = "batching=grouped",
  ["noise on the embeddings, smoothing, z-loss"] = "loss.neftune=5 loss.smoothing=0.1 loss.z_loss=1e-4",
  ["checkpointed layers"] = "loss.checkpointing=true loss.neftune=5",
  ["tokens from a cache"] = "cache=DIR/cache batching=best_fit",
  ["data sets with weights"] = "data=DIR/mixture.lua cache=DIR/cache",
  ["an adapter, checkpointed, evaluated, the best one"] = "lora.rank=4 lora.dropout=0.2 loss.checkpointing=true "
    .. "lr=0.003 eval.data=DIR/data.json eval.every=3 eval.best=loss",
  ["evaluated, stopped early"] = "eval.data=DIR/data.json eval.every=3 eval.db=DIR/shop.sqlite eval.max_tokens=8 "
    .. "eval.limit=4 eval.best=-loss eval.patience=1 schedule=constant lr=0.05",
}

for name, settings in pairs(modes) do
  cases["resumed bit for bit: " .. name] = function()
    local dir = workshop.new(64)
    assert(fs.write(dir .. "/mixture.lua", [[
      return { { path = "data.json", weight = 0.5 }, { path = "second.json", weight = 1.5 } }]]))
    local items = t.ok(json.read(dir .. "/data.json"))
    t.ok(json.write(dir .. "/second.json", json.array(table.move(items, 1, 10, 1, {}))))
    check_resume(dir, "run", (settings:gsub("DIR", dir)))
  end
end

cases["killed on the way, the best model is the same"] = function()
  local dir = workshop.new()
  local settings = ("epochs=4 lr=0.1 schedule=constant save_every=1 eval.data=%s/data.json eval.every=1 eval.best=loss")
    :format(dir)
  ran(dir, "whole", settings)
  t.ok(t.ok(json.read(dir .. "/whole/best.json")).step < #workshop.entries(dir, "whole"), "the last one is the best")
  for _, delay in ipairs { 0.1, 0.2, 0.4 } do
    local out = "killed" .. delay
    sft(dir, out, settings, ("timeout -s KILL %g"):format(delay))
    ran(dir, out, settings .. (fs.is_dir(fs.join(dir, out)) and " resume=true" or ""))
    t.eq(weights(dir, out), weights(dir, "whole"), out)
  end
end

cases["evaluation does not disturb training"] = function()
  local dir = workshop.new()
  ran(dir, "plain", "loss.neftune=5")
  local settings = ("loss.neftune=5 eval.data=%s/data.json eval.every=2 eval.db=%s/shop.sqlite eval.max_tokens=8")
    :format(dir, dir)
  ran(dir, "judged", settings)
  t.eq(weights(dir, "plain"), weights(dir, "judged"))
  ran(dir, "again", settings)
  local a, b, evaluated = workshop.entries(dir, "judged"), workshop.entries(dir, "again"), 0
  for i, entry in ipairs(a) do
    local due = i % 2 == 0 or i == #a
    t.eq(entry.eval_loss ~= nil, due, "step " .. i)
    if due then
      evaluated = evaluated + 1
      for _, key in ipairs { "eval_loss", "eval_ex", "eval_ex_bird", "eval_executable" } do
        t.ok(type(entry[key]) == "number", key)
        t.eq(entry[key], b[i][key], key)
      end
    end
  end
  t.ok(a[#a].eval_loss < a[2].eval_loss)
  local samples = 0
  local list <close> = t.ok(json.items(dir .. "/judged/samples.jsonl"))
  for sample in list do
    samples = samples + 1
    t.ok(sample.verdict and sample.pred and sample.gold and sample.question)
  end
  t.eq(samples, 4 * evaluated)
end

cases["the best model is kept, and training stops when none is better"] = function()
  local dir = workshop.new()
  local text = sft(dir, "run", ("eval.data=%s/data.json eval.every=1 eval.best=loss eval.patience=3 lr=0.5 "
    .. "schedule=constant warmup=0 epochs=9 save_every=0"):format(dir)):gsub("\n$", "")
  t.eq(text:find "traceback", nil, text)
  local entries, best = workshop.entries(dir, "run"), nil
  for _, entry in ipairs(entries) do
    if not best or entry.eval_loss < best.eval_loss then best = entry end
  end
  t.eq(#entries, best.step + 3)
  local kept = t.ok(json.read(dir .. "/run/best.json"))
  t.eq(kept.step, best.step)
  t.near(kept.value, best.eval_loss, 1e-12)
  t.ok(not fs.exists(dir .. "/run/best"))
  -- The model of the folder is that of the best step.
  ran(dir, "short", "lr=0.5 schedule=constant warmup=0 epochs=9 save_every=" .. best.step .. " save_total_limit=0")
  t.eq(weights(dir, "run"), fs.sha256(("%s/short/checkpoint-%d/model.safetensors"):format(dir, best.step)))
end

cases["settings of the evaluation that cannot be"] = function()
  local dir = workshop.new()
  for settings, pattern in pairs {
    ["eval.every=5"] = "eval%.data is missing",
    ["eval.data=DIR/none.json"] = "none%.json",
    ["eval.data=DIR/data.json eval.best=ex"] = "eval%.best=ex needs eval%.db",
    ["eval.data=DIR/data.json eval.patience=2"] = "eval%.patience needs eval%.best",
    ["eval.data=DIR/data.json eval.db=DIR/none"] = "no database, folder or connection file",
  } do
    local text, code = sft(dir, "run", (settings:gsub("DIR", dir)))
    t.eq(code, 1, settings)
    t.ok(text:find(pattern), text)
    t.ok(not fs.exists(dir .. "/run"), "a run folder was made")
  end
end

cases["a gradient that is not finite: the step is skipped and reported, ten end the run"] = function()
  local dir = workshop.new()
  local model = t.ok(models.load(dir .. "/model", { tokenizer = false }))
  model.parts.by_name["model.norm.weight"]:fill_(0 / 0)
  t.ok(model:save(dir .. "/model"))
  local text, code = sft(dir, "run", "epochs=20", "2>&1"):gsub("%s+$", ""), 1
  t.eq(code, 1)
  t.ok(text:find "10 steps in a row had a gradient that is not finite", text)
  local entries = workshop.entries(dir, "run")
  t.eq(#entries, 9)
  t.eq(entries[1].skipped, true)
  t.eq(entries[1].loss, "nan")
end

---Losses and gradients of two batches of the workshop's model, with an adapter-like dropout in each layer.
local function gradients(dir, checkpoint)
  local model, tokenizer = models.load(dir .. "/model", { train = true })
  local conversations, batches = sq.data.conversations, sq.data.batches
  local samples = t.ok(conversations.read(dir .. "/data.json", tokenizer, conversations.template(dir .. "/model"), {}))
  local data = batches.of(samples, { batch_tokens = 1e6, accumulation = 1, seed = 1, epochs = 1 })
  local ops = sq.ops
  local state, seeds = sq.random_state { seed = 11, offset = 0 }, 0
  local function drop(x) -- draws from the global stream, as a layer with dropout would
    local mask = sq.rand(x.shape)
    seeds = seeds + 1
    return x * ops.lt(mask, sq.full(x.shape, 0.9)):to "f32"
  end
  local swiglu = ops.swiglu
  ops.swiglu = function(gate, up) return drop(swiglu(gate, up)) end
  local ok, result = pcall(function()
    local total = {}
    for _, group in ipairs { { 1, 2, 3 }, { 4, 5, 6, 7 } } do
      local loss = model:loss_sum(data:batch(group), { checkpoint = checkpoint })
      total[#total + 1] = loss:item()
      loss:backward()
    end
    return total
  end)
  ops.swiglu = swiglu
  local after = sq.random_state(state)
  assert(ok, result)
  return model, result, seeds, after
end

cases["checkpointed layers: losses and gradients in the same bits, dropout included"] = function()
  local dir = workshop.new()
  local _s <close> = sq.scope()
  local plain, losses, drops, state = gradients(dir, false)
  local light, losses_light, drops_light, state_light = gradients(dir, true)
  t.eq(losses_light, losses)
  t.eq(drops_light, 2 * drops) -- each layer ran again
  t.eq(state_light, state)
  for name, p in pairs(plain.parts.by_name) do
    t.eq(light.parts.by_name[name].grad:totable(), p.grad:totable(), name)
  end
end

cases["checkpointed layers hold less"] = function()
  local config = { model_type = "qwen2", hidden_size = 64, intermediate_size = 256, num_hidden_layers = 8,
    num_attention_heads = 4, num_key_value_heads = 4, vocab_size = 64, tie_word_embeddings = true }
  local function peak(checkpoint)
    local s <close> = sq.scope()
    local model = assert(models.from_config(config, { train = true }))
    local ids = {}
    for i = 1, 1024 do ids[i] = i % 60 end
    local batch = { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(ids, { dtype = "i64" }),
      starts = { 0, 1024 } }
    collectgarbage()
    local before = sq.tensor_memory(true).live_bytes
    model:loss_sum(batch, { checkpoint = checkpoint }):backward()
    local held = sq.tensor_memory().peak_bytes - before
    for _, p in ipairs(model:parameters()) do p:close() end
    return held
  end
  local whole, light = peak(false), peak(true)
  -- A layer keeps about 16 x 1024 x 64 numbers, 2 of them with checkpoints, and one layer's are made at a time.
  t.ok(light < 0.4 * whole, ("%d of %d bytes"):format(light, whole))
end

cases["a cache gives the samples that reading gives, and is made anew when it is damaged"] = function()
  local dir = workshop.new()
  local cache, conversations = sq.data.cache, sq.data.conversations
  local tokenizer, template = t.ok(sq.tokenizer.load(dir .. "/model")), t.ok(conversations.template(dir .. "/model"))
  local o = { folder = dir .. "/cache", model = dir .. "/model", max_length = 60, context = 4096, mask = "answers" }
  local path = dir .. "/data.json"
  local want = t.ok(conversations.read(path, tokenizer, template, o))
  local function check()
    local got = t.ok(cache.read(path, tokenizer, template, o))
    t.eq(#got, #want)
    for i in ipairs(want) do
      t.eq(got[i], want[i], "sample " .. i)
      t.eq(got.lengths[i], #want[i].ids)
    end
    for _, name in ipairs { "dropped", "unlabelled", "tokens", "trained", "longest" } do t.eq(got[name], want[name]) end
    t.eq(got[#want + 1], nil)
    return got
  end
  local first = check()
  local names = t.ok(fs.list(o.folder))
  t.eq(#names, 2)
  local base = fs.join(o.folder, names[1]:match "^(.*)%.")
  local whole, stamp = t.ok(fs.read(base .. ".tokens")), t.ok(fs.mtime(base .. ".tokens"))
  check()
  t.eq(fs.mtime(base .. ".tokens"), stamp, "it was made again")
  for _, broken in ipairs { whole:sub(1, -5), whole:sub(1, 40) .. "x" .. whole:sub(42), "" } do
    assert(fs.write(base .. ".tokens", broken))
    check()
    t.eq(t.ok(fs.read(base .. ".tokens")), whole)
  end
  assert(fs.write(base .. ".json", "{"))
  check()
  assert(fs.remove(base .. ".json"))
  t.eq(first[3], want[3], "an open cache goes on while another is written")
  o.max_length = 34
  t.ok(#t.ok(cache.read(path, tokenizer, template, o)) < #want, "other settings, another cache")
  t.eq(#t.ok(fs.list(o.folder)), 3)
  o.mask = "nothing"
  t.fails(function() return cache.read(dir .. "/none.json", tokenizer, template, o) end, "none%.json")
  assert(fs.write(dir .. "/bad.json", '[{"conversations": 3}]'))
  t.fails(function() return cache.read(dir .. "/bad.json", tokenizer, template, o) end, "bad%.json: item 1")
  t.eq(#t.ok(fs.list(o.folder)), 3, "nothing half-written stays")
end

cases["two runs make one cache at once, and a reader keeps no samples in memory"] = function()
  local dir = workshop.new()
  local items = t.ok(json.read(dir .. "/data.json"))
  local many = json.array {}
  for i = 1, 2000 do many[i] = items[i % #items + 1] end
  t.ok(json.write(dir .. "/many.json", many))
  local one = ("'%s' sft model=%s/model data=%s/many.json cache=%s/cache out=%s/x dry_run=true --quiet"):format(
    workshop.program, dir, dir, dir, dir)
  local text, code = workshop.shell(("%s > %s/a & %s > %s/b; wait; cat %s/a %s/b"):format(one, dir, one, dir, dir, dir))
  t.eq(code, 0, text)
  t.eq(select(2, text:gsub("2000 samples", "")), 2, text)
  t.eq(#t.ok(fs.list(dir .. "/cache")), 2)
  local tokenizer = t.ok(sq.tokenizer.load(dir .. "/model"))
  local template = t.ok(sq.data.conversations.template(dir .. "/model"))
  local o = { folder = dir .. "/cache", model = dir .. "/model", max_length = 4096, context = math.maxinteger,
    mask = "answers" }
  local function kept(read)
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    local samples = t.ok(read(dir .. "/many.json", tokenizer, template, o))
    collectgarbage()
    collectgarbage()
    t.eq(#samples, 2000)
    return collectgarbage "count" - before
  end
  local cached = kept(sq.data.cache.read)
  t.ok(cached < 0.15 * kept(sq.data.conversations.read), cached .. " KiB")
  t.eq(#t.ok(fs.list(dir .. "/cache")), 2, "the same cache")
end

cases["infer with beams"] = function()
  local dir = workshop.new()
  local function infer(settings)
    local command = "'%s' infer model=%s/model data=%s/data.json out=%s/out.json max_tokens=6 limit=3 %s --quiet"
    return workshop.shell(command:format(workshop.program, dir, dir, dir, settings))
  end
  local text, code = infer "beams=3 length_penalty=0.5"
  t.eq(code, 0, text)
  t.eq(#t.ok(json.read(dir .. "/out.json")), 3)
  text, code = infer "beams=2 temperature=1"
  t.eq(code, 2)
  t.ok(text:find "neither draws", text)
end

cases["infer where items wait for room in the cache"] = function()
  local dir = workshop.new()
  local function infer(settings)
    local command = "'%s' infer model=%s/model data=%s/data.json out=%s/out.json max_tokens=6 limit=7 batch=7 %s"
    local text, code = workshop.shell(command:format(workshop.program, dir, dir, dir, settings))
    return code, text, code == 0 and json.read(dir .. "/out.json")
  end
  local code, text, all = infer ""
  t.eq(code, 0, text)
  local again, _, waiting = infer "cache_tokens=128"
  t.eq({ again, waiting }, { 0, all })
  code, text = infer "cache_tokens=63"
  t.eq(code, 1)
  t.ok(text:find "cache_tokens=63: an item may have %d+ tokens, in pages of 64", text)
end

cases["a list of data sets that is wrong"] = function()
  local dir = workshop.new()
  for text, pattern in pairs {
    ["return { { weight = 1 } }"] = "data set 1 has no 'path'",
    ["return {}"] = "a list of data sets",
    ["return { { path = 'data.json', weight = 0 } }"] = "'weight' is how often",
    ["return { { path = 'data.json', wieght = 2 } }"] = "no setting 'wieght'",
    ["return { { path = 'none.json' } }"] = "none%.json",
  } do
    assert(fs.write(dir .. "/mixture.lua", text))
    local output, code = sft(dir, "run", "data=" .. dir .. "/mixture.lua")
    t.eq(code, 1, text)
    t.ok(output:find(pattern), output)
  end
end

return cases
