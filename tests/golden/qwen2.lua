-- Qwen2 against transformers (f32) and an independent f64 implementation: logits, losses, gradients, generation,
-- training.
-- Tolerances: spec/models.md (measured f32 against f64 differences, with room).
local sq = require "sqlune"
local t = require "tests.check"
local json, models = sq.json, sq.models

local function folder(name) return t.shared("golden/qwen2/" .. name) end
local function load(name, opts)
  opts = opts or {}
  opts.tokenizer = false
  return assert(models.load(folder(name), opts))
end

---Largest |a - b| of two tensors.
local function distance(a, b)
  return ((a:to "f64" - b:to "f64"):abs():max():item())
end

local function relative(a, b)
  local d = a:to "f64" - b:to "f64"
  local norm = sq.ops.global_norm({ b:to "f64" }):item()
  return sq.ops.global_norm({ d:contiguous() }):item() / math.max(norm, 1e-300)
end

---The padded batch of io.safetensors as packed rows; targets are the labels moved one to the left.
local function batch_of(io)
  local ids, labels, lengths = io.input_ids:totable(), io.labels:totable(), io.lengths:totable()
  local flat, targets, starts, count = {}, {}, { 0 }, 0
  for row, n in ipairs(lengths) do
    for i = 1, n do
      flat[#flat + 1] = ids[row][i]
      local target = i < n and labels[row][i + 1] or -100
      targets[#targets + 1] = target
      if target ~= -100 then count = count + 1 end
    end
    starts[row + 1] = #flat
  end
  return { ids = sq.tensor(flat, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    labelled = count }
end

local function check_logits(model, io, want, tolerance)
  local batch = batch_of(io)
  local logits = sq.no_grad(function() return model:logits(model:hidden(batch.ids, models.packed(batch.starts))) end)
  for row = 1, #batch.starts - 1 do
    local n = batch.starts[row + 1] - batch.starts[row]
    local mine = logits:narrow(1, batch.starts[row] + 1, n)
    local d = distance(mine, want:select(1, row):narrow(1, 1, n))
    t.ok(d <= tolerance, string.format("row %d: logits differ by %g", row, d))
  end
end

local function check_gradients(model, io, loss_name, prefix, tolerance)
  local batch = batch_of(io)
  local loss = model:loss_sum(batch) / batch.labelled
  t.near(loss:item() / io[loss_name]:to("f64"):item(), 1, tolerance, "loss")
  loss:backward()
  local worst, where = 0, ""
  for _, name in ipairs(model:names()) do
    local want = t.ok(io[prefix .. name], "no " .. prefix .. name)
    local d = relative(model.parts.by_name[name].grad, want)
    if d > worst then worst, where = d, name end
  end
  t.ok(worst <= tolerance, string.format("gradient of %s differs by %g", where, worst))
end

local function both(name)
  return {
    f32 = function()
      local _s <close> = sq.scope()
      local io = sq.safetensors.load(folder(name .. "/io.safetensors"))
      local model = load(name, { train = true, dtype = "f32" })
      check_logits(model, io, io.logits, 5e-5)
      check_gradients(model, io, "loss", "grad.", 2e-5)
    end,
    f64 = function()
      local _s <close> = sq.scope()
      local io = sq.safetensors.load(folder(name .. "/io.safetensors"))
      local io64 = sq.safetensors.load(folder(name .. "/io64.safetensors"))
      local model = load(name, { train = true, dtype = "f64" })
      -- tied/ stores f64; elsewhere the true values were rounded to f32
      local exact = io64.logits64.dtype == "f64"
      check_logits(model, io, io64.logits64, exact and 1e-9 * 20 or 2e-6)
      check_gradients(model, setmetatable(io64, { __index = io }), "loss64", "grad64.", exact and 1e-9 or 1e-6)
    end,
  }
end

---A generate.json, its safetensors, and the model of that folder.
local function generated(name)
  local g = assert(json.read(folder(name .. "/generate.json")))
  return g, sq.safetensors.load(folder(name .. "/generate.safetensors")), load(name)
end

local function check_rows(got, want, what)
  for row = 1, #want do t.eq(got[row], want[row], what .. ", prompt " .. row) end
end

---Every way of generating that generate.json has, all prompts at once and each alone.
local function check_generation(name)
  local _s <close> = sq.scope()
  local g, _, model = generated(name)
  local runs = {
    greedy = {},
    greedy_eos = { eos = g.eos_token_id },
    ["greedy_repetition_penalty_1.1"] = { repetition_penalty = 1.1 },
  }
  for run, o in pairs(runs) do
    o.max_tokens = g.max_new_tokens
    check_rows(sq.generate.run(model, g.prompts, o), g[run], run)
  end
  for row, prompt in ipairs(g.prompts) do
    local o = { max_tokens = 12, repetition_penalty = 1.1 }
    local want = g["greedy_repetition_penalty_1.1"][row]
    t.eq(model:generate(prompt, o), table.move(want, 1, 12, 1, {}), "alone, prompt " .. row)
  end
end

local function last_logits(model, ids)
  return sq.no_grad(function()
    local hidden = model:hidden(sq.tensor(ids, { dtype = "i64" }), models.packed { 0, #ids })
    return model:logits(hidden:narrow(1, #ids, 1))
  end)
end

---Logits after each prompt, and the distributions that sampling draws from.
local function check_distributions(name)
  local _s <close> = sq.scope()
  local g, numbers, model = generated(name)
  for row, prompt in ipairs(g.prompts) do
    local d = distance(last_logits(model, prompt):select(1, 1), numbers.first_logits:select(1, row))
    t.ok(d <= 5e-5, ("first logits of prompt %d differ by %g"):format(row, d))
  end
  for i, case in ipairs(g.sampling) do
    local ids = case.context
    local p = sq.ops.probabilities(last_logits(model, ids), {
      temperature = case.temperature, top_k = case.top_k, top_p = case.top_p,
      repetition_penalty = case.repetition_penalty,
      seen = sq.tensor(ids, { dtype = "i64" }), seen_rows = sq.tensor({ 0, #ids }, { dtype = "i64" }),
    }):select(1, 1)
    -- logits differ by 1e-5, divided by temperatures down to 0.7
    local d = distance(p, numbers[("sampling.%d.probabilities"):format(i - 1)])
    t.ok(d <= 3e-5, ("sampling %d: probabilities differ by %g"):format(i, d))
    local values = p:totable()
    for place, id in ipairs(case.ids) do
      t.near(values[id + 1], case.probabilities[place], 3e-5, ("sampling %d, id %d"):format(i, id))
    end
    local positive = 0
    for _, v in ipairs(values) do positive = positive + (v > 0 and 1 or 0) end
    t.eq(positive, #case.ids, ("sampling %d: ids with a probability"):format(i))
  end
end

---The stages of the forward pass; hidden.layer2 is the last layer, before the norm.
local function check_hidden(name)
  local _s <close> = sq.scope()
  local io = sq.safetensors.load(folder(name .. "/io.safetensors"))
  local model, batch, seen = load(name), batch_of(io), {}
  sq.no_grad(function()
    model:hidden(batch.ids, models.packed(batch.starts), function(stage, x) seen[stage] = x:keep() end)
  end)
  for _, stage in ipairs { "embed", "layer0", "layer1", "layer2", "final_norm" } do
    local want = t.ok(io["hidden." .. stage], stage)
    for row = 1, #batch.starts - 1 do
      local n = batch.starts[row + 1] - batch.starts[row]
      local d = relative(seen[stage]:narrow(1, batch.starts[row] + 1, n), want:select(1, row):narrow(1, 1, n))
      t.ok(d <= 5e-6, ("%s of row %d differs by %g"):format(stage, row, d)) -- measured: 7e-7
    end
    seen[stage]:close()
  end
end

---The model of untied/ with another config.
local function variant(config_path, dtype)
  local config = assert(json.read(folder(config_path)))
  local weights = sq.safetensors.load(folder "untied/model.safetensors")
  local model = assert(models.from_config(config, { dtype = dtype }))
  for name, x in pairs(model.parts.by_name) do sq.ops.copy_(x, weights[name]) end
  return model
end

local function check_variant(name, tolerance)
  local _s <close> = sq.scope()
  local io = sq.safetensors.load(folder(name .. "/io.safetensors"))
  local ids = io.input_ids:select(1, 1)
  for dtype, want in pairs { f32 = io.logits, f64 = io.logits64 } do
    local model = variant(name .. "/config.json", dtype)
    local logits = sq.no_grad(function() return model:logits(model:hidden(ids, models.packed { 0, ids:size(1) })) end)
    local d = distance(logits, want:select(1, 1))
    t.ok(d <= (dtype == "f64" and 2e-6 or tolerance), ("%s %s: logits differ by %g"):format(name, dtype, d))
  end
end

local function check_bf16()
  local _s <close> = sq.scope()
  local io = sq.safetensors.load(folder "bf16/io.safetensors")
  local batch_io = sq.safetensors.load(folder "tied/io.safetensors")
  local model, batch = load("bf16", { train = true }), batch_of(batch_io)
  t.eq(model.dtype, "bf16")
  local logits = sq.no_grad(function() return model:logits(model:hidden(batch.ids, models.packed(batch.starts))) end)
  local largest, square, count = 0, 0, 0
  for row = 1, #batch.starts - 1 do
    local n = batch.starts[row + 1] - batch.starts[row]
    local d = logits:narrow(1, batch.starts[row] + 1, n):to "f64" - io.logits64:select(1, row):narrow(1, 1, n):to "f64"
    largest = math.max(largest, d:abs():max():item())
    square, count = square + d:square():sum():item(), count + d:numel()
  end
  -- transformers' own distance from the f64 result: 0.16 at most, 0.026 rms
  t.ok(largest <= 0.2, "bf16 logits: at most " .. largest)
  t.ok(math.sqrt(square / count) <= 0.03, "bf16 logits: rms " .. math.sqrt(square / count))
  local loss = model:loss_sum(batch) / batch.labelled
  t.near(loss:item() / io.loss64:item(), 1, 2e-3, "bf16 loss")
  loss:backward()
  local mine, theirs = {}, {}
  for i, name in ipairs(model:names()) do
    mine[i] = model.parts.by_name[name].grad
    t.eq(mine[i].dtype, "f32", name) -- gradients of bf16 weights add up in f32
    theirs[i] = io["grad." .. name]:to "f32"
    t.ok(relative(mine[i], theirs[i]) <= 0.12, name) -- either is up to 0.047 away from f64
  end
end

local function check_packing()
  local _s <close> = sq.scope()
  local io = sq.safetensors.load(folder "packing/packing.safetensors")
  local model = load("tied", { train = true })
  local labels, starts, targets, count = io.packed_labels:totable()[1], io.cu_seqlens:totable(), {}, 0
  for i = 1, #labels do
    targets[i] = labels[i + 1] or -100
    if targets[i] ~= -100 then count = count + 1 end
  end
  local ids = io.packed_ids:select(1, 1)
  local logits = sq.no_grad(function() return model:logits(model:hidden(ids, models.packed(starts))) end)
  local d = distance(logits, io.packed_logits:select(1, 1))
  t.ok(d <= 5e-5, "packed logits differ by " .. d)
  local function gradients(batches)
    local total = 0
    for _, b in ipairs(batches) do
      local loss = model:loss_sum(b) / count
      total = total + loss:item()
      loss:backward()
    end
    local g = {}
    for _, name in ipairs(model:names()) do
      local p = model.parts.by_name[name]
      g[name] = p.grad:clone()
      p.grad = nil
    end
    return total, g
  end
  local function target(list) return sq.tensor(list, { dtype = "i64" }) end
  local loss, packed = gradients { { ids = ids, targets = target(targets), starts = starts } }
  t.near(loss / io.loss64:item(), 1, 1e-5, "packed loss")
  t.ok(math.abs(loss - io.leaking_loss:item()) > 0.05, "sequences see each other")
  for name, want in pairs(io) do
    local parameter = name:match "^grad%.(.*)"
    if parameter then t.ok(relative(packed[parameter], want) <= 2e-5, name) end
  end
  local rows = {}
  for row = 1, #starts - 1 do
    local n = starts[row + 1] - starts[row]
    rows[row] = { ids = ids:narrow(1, starts[row] + 1, n), starts = { 0, n },
      targets = target(table.move(targets, starts[row] + 1, starts[row + 1], 1, {})) }
  end
  local loss_rows, by_row = gradients(rows)
  t.near(loss_rows / loss, 1, 1e-5, "unpacked loss")
  for _, name in ipairs(model:names()) do
    t.ok(relative(by_row[name], packed[name]) <= 1e-5, "unpacked " .. name)
  end
end

---One step of adamw/: both micro-batches, divided by all their labels.
local function adamw_step(model, micro_batches)
  local batches, count, loss = {}, 0, 0
  for m, rows in ipairs(micro_batches) do
    local ids, targets, starts = {}, {}, { 0 }
    for _, row in ipairs(rows) do
      table.move(row.input_ids, 1, #row.input_ids, #ids + 1, ids)
      for i = 1, #row.labels do
        targets[#targets + 1] = row.labels[i + 1] or -100
        if targets[#targets] ~= -100 then count = count + 1 end
      end
      starts[#starts + 1] = #ids
    end
    batches[m] = { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }),
      starts = starts }
  end
  for _, b in ipairs(batches) do
    local part = model:loss_sum(b) / count
    loss = loss + part:item()
    part:backward()
  end
  return loss, count
end

---bars: loss, norm, final weights, final k_proj.bias (relative or absolute).
local function check_adamw(dtype, bars)
  local _s <close> = sq.scope()
  local run, batches = assert(json.read(folder "adamw/run.json")), assert(json.read(folder "adamw/batches.json"))
  local trace = sq.safetensors.load(folder "adamw/trace.safetensors")
  local model = load("tied", { train = true, dtype = dtype })
  local o = run.optimizer
  local optimiser = sq.optim.adamw(model:names(), model:parameters(),
    { beta1 = o.betas[1], beta2 = o.betas[2], eps = o.eps, weight_decay = o.weight_decay })
  local rate = sq.schedule.cosine({ lr = o.lr, warmup = run.schedule.warmup_steps }, run.schedule.total_steps)
  for step, want in ipairs(dtype == "f64" and run.steps64 or run.steps) do
    local _step <close> = sq.scope()
    t.near(rate(step), run.steps[step].lr, 1e-12, "rate")
    local loss, count = adamw_step(model, batches[step])
    t.eq(count, run.steps[step].labelled)
    local norm, factor = sq.optim.clip(model:parameters(), run.max_grad_norm)
    t.near(loss / want.loss, 1, bars[1], "loss of step " .. step)
    t.near(norm / want.grad_norm, 1, bars[2], "norm of step " .. step)
    optimiser:step(rate(step), factor)
    local d = relative(model.parts.by_name["model.norm.weight"], trace["model.norm.weight"]:select(1, step))
    t.ok(d <= 1e-5, ("model.norm.weight after step %d differs by %g"):format(step, d))
  end
  for name, want in pairs(sq.safetensors.load(folder "adamw/final.safetensors")) do
    local mine = model.parts.by_name[name]
    local d, absolute = relative(mine, want), distance(mine, want)
    if name:find "k_proj%.bias" then -- its true gradient is nearly 0: Adam makes steps of rounding noise
      t.ok(d <= 1e-2 or absolute <= 1e-3, ("%s differs by %g, %g"):format(name, d, absolute))
    else
      t.ok(d <= 1e-5, ("%s differs by %g"):format(name, d))
    end
  end
end

local function check_sharded()
  local _s <close> = sq.scope()
  local one, many = load "untied", load "untied_sharded"
  t.eq(one:names(), many:names())
  for _, name in ipairs(one:names()) do
    t.eq(distance(one.parts.by_name[name], many.parts.by_name[name]), 0.0, name)
  end
end

---What is saved loads again with the same numbers; the tied head is not written.
local function check_save()
  local _s <close> = sq.scope()
  local model, dir = load "tied", t.tmpdir()
  assert(model:save(dir))
  local again = assert(models.load(dir))
  t.eq(again:names(), model:names())
  for _, name in ipairs(model:names()) do
    t.eq(distance(model.parts.by_name[name], again.parts.by_name[name]), 0.0, name)
  end
  t.eq(sq.safetensors.header(dir)["lm_head.weight"], nil)
end

---Keys as the hub writes them mean the same model.
local function check_hub_config()
  local _s <close> = sq.scope()
  local a = assert(models.shape(assert(json.read(folder "tied/config.json")), "a"))
  t.eq(a, assert(models.shape(assert(json.read(folder "tied/config_hub_style.json")), "b")))
end

local tied, untied = both "tied", both "untied"
return {
  ["tied f32: logits, loss, gradients"] = tied.f32,
  ["tied f64: logits, loss, gradients"] = tied.f64,
  ["untied f32: logits, loss, gradients"] = untied.f32,
  ["untied f64: logits, loss, gradients"] = untied.f64,
  ["tied: generation"] = function() check_generation "tied" end,
  ["untied: generation"] = function() check_generation "untied" end,
  ["tied: logits and distributions"] = function() check_distributions "tied" end,
  ["untied: logits and distributions"] = function() check_distributions "untied" end,
  ["tied: hidden states"] = function() check_hidden "tied" end,
  ["untied: hidden states"] = function() check_hidden "untied" end,
  ["bf16: logits, loss, gradients"] = check_bf16,
  ["packed rows are the rows"] = check_packing,
  ["sliding window"] = function() check_variant("sliding", 5e-5) end,
  ["20 steps of AdamW, f32"] = function() check_adamw("f32", { 1e-5, 1e-5 }) end,
  ["20 steps of AdamW, f64"] = function() check_adamw("f64", { 1e-9, 1e-9 }) end,
  ["shards are the whole"] = check_sharded,
  ["saved and loaded"] = check_save,
  ["a config as on the hub"] = check_hub_config,
}
