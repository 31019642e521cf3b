-- LoRA against PEFT (f32) and an independent f64 implementation: logits, losses, gradients, runs, merged weights.
-- Tolerances: spec/models.md, which measured PEFT's f32 against f64.
local sq = require "sqlune"
local t = require "tests.check"
local checks = require "tests.model_checks"
local config_of = require "sqlune.lora.config"
local merge = require "sqlune.lora.merge"
local start = require "sqlune.lora.start"
local json, lora, models, ops = sq.json, sq.lora, sq.models, sq.ops

local function shared(path) return t.shared("golden/lora/" .. path) end
local BASE <const> = "golden/qwen2/untied"

local distance, relative = checks.distance, checks.relative

---Rows of { input_ids, labels } as one packed batch; targets are the labels moved one to the left.
local function pack(rows)
  local ids, targets, starts, count = {}, {}, { 0 }, 0
  for _, row in ipairs(rows) do
    for i = 1, #row.input_ids do
      ids[#ids + 1] = row.input_ids[i]
      targets[#ids] = row.labels[i + 1] or -100
      if targets[#ids] ~= -100 then count = count + 1 end
    end
    starts[#starts + 1] = #ids
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    labelled = count }
end

---The padded batch of batch.safetensors.
local function padded_batch()
  local io = sq.safetensors.load(shared "batch.safetensors")
  local ids, labels, mask, rows = io.input_ids:totable(), io.labels:totable(), io.attention_mask:totable(), {}
  for i = 1, #ids do
    local n = 0
    for _, v in ipairs(mask[i]) do n = n + v end
    rows[i] = { input_ids = table.move(ids[i], 1, n, 1, {}), labels = table.move(labels[i], 1, n, 1, {}) }
  end
  return pack(rows)
end

---Base and adapter; tensors from `tensors` (a file) if they do not stand in the folder.
local function load(folder, opts)
  local o = { base = t.shared(BASE), tokenizer = false }
  for key, value in pairs(opts or {}) do o[key] = value end
  local model = assert(models.load(shared(folder), o))
  return model, model.adapters.default
end

local function check_logits(model, batch, want, tolerance, what)
  local logits = sq.no_grad(function()
    local at = models.packed(batch.starts)
    return model:logits(model:hidden(batch.ids, at), at)
  end)
  for row = 1, #batch.starts - 1 do
    local n = batch.starts[row + 1] - batch.starts[row]
    local d = distance(logits:narrow(1, batch.starts[row] + 1, n), want:select(1, row):narrow(1, 1, n))
    t.ok(d <= tolerance, ("%s, row %d: logits differ by %g"):format(what, row, d))
  end
end

local function check_gradients(adapter, batch, io, prefix, tolerance)
  local loss = adapter.model:loss_sum(batch) / batch.labelled
  loss:backward()
  local worst, where, count = 0, "", 0
  for _, name in ipairs(adapter:names()) do
    local d = relative(adapter.by_name[name].grad, t.ok(io[prefix .. name], "no " .. prefix .. name))
    count = count + 1
    if d > worst then worst, where = d, name end
  end
  for name in pairs(io) do if name:sub(1, #prefix) == prefix then count = count - 1 end end
  t.eq(count, 0, "tensors that are trained")
  t.ok(worst <= tolerance, ("gradient of %s differs by %g"):format(where, worst))
  for _, p in ipairs(adapter.model:parameters()) do t.eq(p.grad, nil) end -- the base has none
  return loss:item()
end

---Logits, loss and gradients of a folder with io.safetensors, in f32 and f64.
local function check_io(folder)
  local _s <close> = sq.scope()
  local io, batch = sq.safetensors.load(shared(folder .. "/io.safetensors")), padded_batch()
  local model, adapter = load(folder, { train = true, dtype = "f32" })
  check_logits(model, batch, io.logits, 5e-5, "f32")
  t.near(check_gradients(adapter, batch, io, "grad.", 2e-5) / io.loss:item(), 1, 1e-5, "loss")
  if io.merged_logits then check_logits(model, batch, io.merged_logits, 5e-5, "merged") end
  model, adapter = load(folder, { train = true, dtype = "f64" })
  check_logits(model, batch, io.logits64, 2e-6, "f64") -- stored as f32
  if io["grad64." .. adapter:names()[1]] then
    t.near(check_gradients(adapter, batch, io, "grad64.", 1e-6) / io.loss64:item(), 1, 1e-9, "loss64")
  end
end

local function check_merged(folder, file, dtype)
  local _s <close> = sq.scope()
  local model, adapter = load(folder, { dtype = dtype })
  local merged = sq.safetensors.load(shared(file))
  local count = 0
  for _, linear in ipairs(model.parts.linears) do
    local want, part = merged[linear.name .. ".weight"], adapter.parts[linear]
    if want then
      count = count + 1
      local mine = merge.weight(linear.base.weight, part)
      t.eq(mine.dtype, want.dtype)
      local d = distance(mine, want)
      t.ok(d <= (dtype == "bf16" and 0 or 2e-7), ("%s: merged weight differs by %g"):format(linear.name, d))
    end
  end
  t.ok(count > 0, "nothing compared")
end

---The run of run.json from an adapter's folder; `final` holds the adapter after it.
local function check_run(folder, run_path, final, dtype, bars)
  local _s <close> = sq.scope()
  local run, batches = assert(json.read(shared(run_path))), assert(json.read(shared "batches.json"))
  local model, adapter = load(folder, { train = true, dtype = dtype })
  local o = run.optimizer
  local optimizer = sq.optim.adamw(adapter:names(), adapter:parameters(), {
    beta1 = o.betas[1], beta2 = o.betas[2], eps = o.eps, weight_decay = o.weight_decay,
    decay_of = function() return true end, rate_of = o.loraplus_lr_ratio and lora.plus(o.loraplus_lr_ratio),
  })
  for step, want in ipairs(dtype == "f64" and run.steps64 or run.steps) do
    local _step <close> = sq.scope()
    local batch = pack(batches[step])
    t.eq(batch.labelled, run.steps[step].labelled)
    local loss = model:loss_sum(batch) / batch.labelled
    loss:backward()
    local norm, factor = sq.optim.clip(adapter:parameters(), run.max_grad_norm)
    t.near(loss:item() / want.loss, 1, bars[1], "loss of step " .. step)
    t.near(norm / want.grad_norm, 1, bars[1], "norm of step " .. step)
    optimizer:step(o.lr or o.lr_A, factor)
  end
  local tensors = sq.safetensors.load(shared(final))
  for _, name in ipairs(adapter:names()) do
    local d = relative(adapter.by_name[name], t.ok(tensors[name], name))
    t.ok(d <= bars[2], ("%s differs by %g"):format(name, d))
  end
end

local cases = {}

for _, name in ipairs { "start", "final" } do
  cases[name .. ": logits, loss, gradients"] = function() check_io(name) end
end
cases["the run, f32"] = function()
  check_run("start", "final/run.json", "final/adapter_model.safetensors", "f32", { 1e-5, 1e-4 })
end
cases["the run, f64"] = function() -- the final adapter that is stored is the f32 run's
  check_run("start", "final/run.json", "final/adapter_model.safetensors", "f64", { 1e-9, 1e-4 })
end
cases["LoRA+: the run"] = function()
  check_run("loraplus/init", "loraplus/run.json", "loraplus/final/adapter_model.safetensors", "f32", { 1e-5, 1e-4 })
end
cases["merged weights"] = function()
  check_merged("start", "start/merged_some.safetensors", "f32")
  check_merged("final", "final/merged.safetensors", "f32")
end

for _, name in ipairs { "rslora", "dora", "bias_lora_only", "regex", "modules_to_save", "rank_pattern" } do
  local folder = "variants/" .. name
  cases[name .. ": logits, loss, gradients"] = function() check_io(folder) end
  cases[name .. ": the run"] = function()
    check_run(folder, folder .. "/run.json", folder .. "/final.safetensors", "f32", { 1e-5, 1e-4 })
  end
  cases[name .. ": merged weights"] = function()
    check_merged(folder, folder .. (name == "dora" and "/merged.safetensors" or "/merged_some.safetensors"), "f32")
  end
end

cases["bf16 base: logits, gradients, merged weights"] = function()
  local _s <close> = sq.scope()
  local io, batch = sq.safetensors.load(shared "bf16_base/io.safetensors"), padded_batch()
  local model, adapter = load("start", { train = true, dtype = "bf16" })
  t.eq(adapter.dtype, "f32")
  local logits = sq.no_grad(function() return model:logits(model:hidden(batch.ids, models.packed(batch.starts))) end)
  local largest, square, count = 0, 0, 0
  for row = 1, #batch.starts - 1 do
    local n = batch.starts[row + 1] - batch.starts[row]
    local d = logits:narrow(1, batch.starts[row] + 1, n):to("f64", "cpu")
      - io.logits64:select(1, row):narrow(1, 1, n):to "f64"
    largest = math.max(largest, d:abs():max():item())
    square, count = square + d:square():sum():item(), count + d:numel()
  end
  -- PEFT's own distance from the f64 result: 0.22 at most, 0.026 rms
  t.ok(largest <= 0.25, "logits: at most " .. largest)
  t.ok(math.sqrt(square / count) <= 0.03, "logits: rms " .. math.sqrt(square / count))
  local loss = model:loss_sum(batch) / batch.labelled
  loss:backward()
  local squares, differences = 0, 0
  for _, name in ipairs(adapter:names()) do
    local want = io["grad64." .. name] or io["grad." .. name]
    if want then
      local g = adapter.by_name[name].grad
      t.eq(g.dtype, "f32")
      differences = differences + (g:to("f64", "cpu") - want:to "f64"):square():sum():item()
      squares = squares + want:to("f64"):square():sum():item()
    end
  end
  local off = math.sqrt(differences / squares)
  t.ok(off <= 0.05, "gradients differ by " .. off) -- PEFT's own distance from f64: 0.025
  local merged = 0
  for _, linear in ipairs(model.parts.linears) do
    local want = io["merged." .. linear.name .. ".weight"]
    if want then
      merged = merged + 1
      t.eq(distance(merge.weight(linear.base.weight, adapter.parts[linear]), want), 0.0, linear.name)
    end
  end
  t.ok(merged > 0, "no merged weight compared")
end

cases["PiSSA: one layer's start"] = function()
  local _s <close> = sq.scope()
  local want = sq.safetensors.load(shared "pissa/pissa.safetensors")
  local about = assert(json.read(shared "pissa/pissa.json"))
  for _, init in ipairs { "pissa", "pissa_niter_16" } do
    local a, b = start.pissa(want.weight, about.r, about.scaling, { dtype = "f32", seed = 1, stream = 1,
      rounds = config_of.pissa(init) })
    local d = distance(ops.matmul(b, a), want.BA64)
    t.ok(d <= 5e-6, init .. ": BA differs by " .. d) -- PEFT's own: 2e-6 / scaling
    t.ok(distance(want.weight - ops.matmul(b, a) * about.scaling, want.residual) <= 1e-5)
    t.ok(distance(ops.matmul(a, a:transpose(1, 2)), want.gram_A) <= 5e-6, "A A^T")
    t.ok(distance(ops.matmul(b:transpose(1, 2), b), want.gram_B) <= 5e-6, "B^T B")
  end
end

return cases
