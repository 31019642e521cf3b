-- Training: the same run however it is split, resumed, interrupted or killed; a tiny model on conversations of its own.
local sq = require "sqlune"
local t = require "tests.check"
local fs, models = sq.fs, sq.models

local workshop = require "tests.workshop"
local sft, losses, weights = workshop.sft, workshop.losses, workshop.weights

local cases = {}

cases["one seed gives one result, another seed another"] = function()
  local dir = workshop.new()
  for out, settings in pairs { a = "seed=5", b = "seed=5", c = "seed=6" } do
    local text, code = sft(dir, out, settings)
    t.eq(code, 0, text)
  end
  t.eq(weights(dir, "a"), weights(dir, "b"))
  t.ok(weights(dir, "a") ~= weights(dir, "c"))
  local curve = losses(dir, "a")
  t.ok(curve[#curve] < curve[1] * 0.9, ("loss went from %g to %g"):format(curve[1], curve[#curve]))
end

cases["resumed at any step, the weights come out the same"] = function()
  local dir = workshop.new()
  for _, dtype in ipairs { "f32", "bf16" } do
    t.eq(select(2, sft(dir, "whole" .. dtype, "dtype=" .. dtype)), 0)
    local steps = #losses(dir, "whole" .. dtype)
    for _, stop in ipairs { 1, steps // 2, steps - 1 } do
      local out = dtype .. stop
      t.eq(select(2, sft(dir, out, ("dtype=%s save_every=%d save_total_limit=0"):format(dtype, stop))), 0)
      -- Back to the state after a stop at that step: later checkpoints and the result were never written.
      for _, c in ipairs(sq.train.checkpoints(fs.join(dir, out))) do
        if c.step > stop then t.ok(fs.remove_tree(c.path)) end
      end
      t.ok(fs.remove(fs.join(dir, out, "model.safetensors")))
      local text, code = sft(dir, out, ("dtype=%s save_every=%d resume=true"):format(dtype, stop))
      t.eq(code, 0, text)
      t.eq(weights(dir, out), weights(dir, "whole" .. dtype), out)
      t.eq(#losses(dir, out), steps, "the log has every step once")
    end
  end
end

cases["killed during a save, the run resumes to the same weights"] = function()
  local dir = workshop.new()
  t.eq(select(2, sft(dir, "whole", "epochs=4")), 0)
  for _, delay in ipairs { 0.05, 0.12, 0.2, 0.35 } do
    local out = "killed" .. delay
    -- Saves after every step: the kill lands in a save or beside one.
    sft(dir, out, "epochs=4 save_every=1 save_total_limit=2", ("timeout -s KILL %g"):format(delay))
    local resumed = fs.is_dir(fs.join(dir, out)) and "resume=true" or ""
    local text, code = sft(dir, out, "epochs=4 save_every=1 save_total_limit=2 " .. resumed)
    t.eq(code, 0, text)
    t.eq(weights(dir, out), weights(dir, "whole"), out)
    for _, name in ipairs(fs.list(fs.join(dir, out))) do t.ok(not name:find "saving", name) end
  end
end

cases["checkpoints are kept up to the limit, and a used folder is refused"] = function()
  local dir = workshop.new()
  t.eq(select(2, sft(dir, "run", "save_every=2 save_total_limit=2")), 0)
  t.eq(#sq.train.checkpoints(fs.join(dir, "run")), 2)
  local text, code = sft(dir, "run", "")
  t.eq(code, 1)
  t.ok(text:find "resume=true", text)
  text, code = sft(dir, "run", "resume=true seed=9")
  t.eq(code, 1)
  t.ok(text:find "other data or settings", text)
end

cases["a checkpoint opens as a model"] = function()
  local dir = workshop.new()
  t.eq(select(2, sft(dir, "run", "dtype=bf16")), 0)
  local _s <close> = sq.scope()
  local model, tokenizer = models.load(fs.join(dir, "run"))
  t.ok(model, tokenizer)
  t.eq(model.dtype, "bf16")
  t.eq(#model:generate(tokenizer:encode "Which", { max_tokens = 5 }), 5)
end

---Gradients of the mean loss over these batches of samples.
local function gradients(dir, groups)
  local conversations, batches = sq.data.conversations, sq.data.batches
  local model, tokenizer = models.load(dir .. "/model", { train = true })
  local samples = t.ok(conversations.read(dir .. "/data.json", tokenizer, conversations.template(dir .. "/model"), {}))
  local data = batches.of(samples, { batch_tokens = 1e6, accumulation = 1, seed = 1, epochs = 1 })
  local micro, loss = {}, 0
  for k, group in ipairs(groups) do micro[k] = data:batch(group) end
  for _, batch in ipairs(micro) do
    local part = model:loss_sum(batch) / batches.labelled(micro)
    part:backward()
    loss = loss + part:item()
  end
  return model, loss
end

local function compare(dir, a, b)
  local _s <close> = sq.scope()
  local one, loss_one = gradients(dir, a)
  local two, loss_two = gradients(dir, b)
  t.near(loss_one / loss_two, 1, 1e-5)
  for name, p in pairs(one.parts.by_name) do
    local g, h = p.grad, two.parts.by_name[name].grad
    local d, scale = sq.ops.global_norm({ (g - h):contiguous() }):item(), sq.ops.global_norm({ h }):item()
    t.ok(d <= 1e-5 * scale + 1e-7, ("%s: %g of %g"):format(name, d, scale))
  end
end

cases["accumulation 1 and 4 give the same loss and gradients"] = function()
  compare(workshop.new(), { { 1, 2, 3, 4, 5, 6, 7, 8 } }, { { 1, 2, 3 }, { 4 }, { 5, 6 }, { 7, 8 } })
end

cases["packed and one by one give the same loss and gradients"] = function()
  local singles = {}
  for i = 1, 8 do singles[i] = { i } end
  compare(workshop.new(), { { 8, 7, 6, 5, 4, 3, 2, 1 } }, singles)
end

cases["a long answer is never cut: the sample is left out and counted"] = function()
  local dir = workshop.new()
  local text, code = sft(dir, "run", "max_length=34 dry_run=true")
  t.eq(code, 0, text)
  t.ok(text:find "left out: longer than max_length", text)
end

cases["bad input names the file and the place"] = function()
  local dir = workshop.new()
  local function refused(settings, pattern, prepare)
    prepare()
    local text, code = sft(dir, "bad", settings)
    t.ok(code == 1 or code == 2, text)
    t.ok(text:find(pattern), text)
    t.ok(not text:find "traceback", text)
    t.ok(not fs.exists(dir .. "/bad/model.safetensors"))
  end
  refused("data=" .. dir .. "/none.json", "none%.json", function() end)
  refused("data=" .. dir .. "/b.json", "b%.json: item 1 %(line 1%): 'conversations' is missing", function()
    fs.write(dir .. "/b.json", '[{"id":1}]')
  end)
  refused("lrr=1", "did you mean", function() end)
  refused("", "model%.safetensors", function()
    local bytes = fs.read(dir .. "/model/model.safetensors")
    fs.write(dir .. "/model/model.safetensors", bytes:sub(1, #bytes // 2))
  end)
  refused("", "config%.json", function() fs.write(dir .. "/model/config.json", '{"model_type": "qwen2"') end)
end

cases["the memory plan counts what is there"] = function()
  local total = 0
  local plan = require "sqlune.train.data".memory_plan
  for _, part in ipairs(plan(100, { dtype = "bf16" })) do total = total + part[2] end
  t.eq(total, 100 * (2 + 4 + 4 + 8))
  total = 0
  for _, part in ipairs(plan(2560, { dtype = "bf16", states = "8bit", gradients = "bf16",
    stochastic_rounding = true })) do
    total = total + part[2]
  end
  t.eq(total, 2560 * (2 + 2) + 2 * 2600)
end

return cases
