-- Qwen2 against transformers (f32) and an independent f64 implementation: logits, losses, gradients, generation,
-- training.
-- Tolerances: spec/models.md (measured f32 against f64 differences, with room).
local sq = require "sqlune"
local t = require "tests.check"
local checks = require "tests.model_checks"
local json, models = sq.json, sq.models
local distance, relative, batch_of = checks.distance, checks.relative, checks.batch_of

local function folder(name) return checks.folder("qwen2/" .. name) end
local function load(name, opts) return checks.load("qwen2/" .. name, opts) end

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
    local d = logits:narrow(1, batch.starts[row] + 1, n):to("f64", "cpu")
      - io.logits64:select(1, row):narrow(1, 1, n):to "f64"
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

---inv_freq, cosine and sine of each kind of scaling at positions up to 131071, head size 128, against f64.
local function check_rope_tables()
  local _s <close> = sq.scope()
  local rope, nn = require "sqlune.models.rope", require "sqlune.nn"
  local tables = sq.safetensors.load(folder "rope_scaling/tables.safetensors")
  local scalings = {
    default = {}, linear = { type = "linear", factor = 2 },
    yarn = { type = "yarn", factor = 4, original_max_position_embeddings = 32768 },
    llama3 = { rope_type = "llama3", factor = 8, low_freq_factor = 1, high_freq_factor = 4,
      original_max_position_embeddings = 8192 },
  }
  local positions = tables.position_ids:totable()
  for kind, scaling in pairs(scalings) do
    local theta = kind == "llama3" and 5e5 or 1e6
    local function given(v) return v end
    local facts = rope.read({ rope_scaling = scaling, rope_theta = theta }, kind, given, theta, 2048)
    local frequencies, factor = rope.frequencies(facts, 128)
    local want = tables[kind .. ".inv_freq64"]:totable()
    for i, f in ipairs(frequencies) do t.near(f / want[i], 1, 1e-9, kind .. " inv_freq " .. i) end
    -- f32 angles are as far from the exact ones as transformers' are: up to 5e-3 at 131071
    local cosine, sine = nn.rope(frequencies, "f64", factor):tables(positions[#positions] + 1)
    for row, position in ipairs(positions) do
      t.ok(distance(cosine:select(1, position + 1), tables[kind .. ".cos64"]:select(1, row)) < 1e-8, kind)
      t.ok(distance(sine:select(1, position + 1), tables[kind .. ".sin64"]:select(1, row)) < 1e-8, kind)
    end
    cosine, sine = nn.rope(frequencies, "f32", factor):tables(positions[#positions] + 1)
    for row, position in ipairs(positions) do
      local bar = 1e-6 + 1.2e-7 * position
      t.ok(distance(cosine:select(1, position + 1), tables[kind .. ".cos"]:select(1, row)) < bar, kind)
      t.ok(distance(sine:select(1, position + 1), tables[kind .. ".sin"]:select(1, row)) < bar, kind)
    end
  end
end

local tied, untied = checks.both "qwen2/tied", checks.both "qwen2/untied"
return {
  ["tied f32: logits, loss, gradients"] = tied.f32,
  ["tied f64: logits, loss, gradients"] = tied.f64,
  ["untied f32: logits, loss, gradients"] = untied.f32,
  ["untied f64: logits, loss, gradients"] = untied.f64,
  ["tied: generation"] = function() checks.check_generation "qwen2/tied" end,
  ["untied: generation"] = function() checks.check_generation "qwen2/untied" end,
  ["tied: logits and distributions"] = function() checks.check_distributions "qwen2/tied" end,
  ["untied: logits and distributions"] = function() checks.check_distributions "qwen2/untied" end,
  ["tied: hidden states"] = function() checks.check_hidden "qwen2/tied" end,
  ["untied: hidden states"] = function() checks.check_hidden "qwen2/untied" end,
  ["bf16: logits, loss, gradients"] = check_bf16,
  ["packed rows are the rows"] = check_packing,
  ["tied: beam search"] = function() checks.check_beams "qwen2/tied" end,
  ["untied: beam search"] = function() checks.check_beams "qwen2/untied" end,
  ["rope scaling: linear"] = function() check_variant("rope_scaling/linear", 5e-5) end,
  ["rope scaling: YaRN"] = function() check_variant("rope_scaling/yarn", 5e-5) end,
  ["rope scaling: tables of all kinds"] = check_rope_tables,
  ["sliding window"] = function() check_variant("sliding", 5e-5) end,
  ["20 steps of AdamW, f32"] = function() check_adamw("f32", { 1e-5, 1e-5 }) end,
  ["20 steps of AdamW, f64"] = function() check_adamw("f64", { 1e-9, 1e-9 }) end,
  ["shards are the whole"] = check_sharded,
  ["saved and loaded"] = check_save,
  ["a config as on the hub"] = check_hub_config,
}
