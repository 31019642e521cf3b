-- MoMQ against the original's code (compat) and an independent f64 implementation of the paper's reading: layers,
-- models, both routers' losses, all gradients, evaluation mode, training runs.
-- Tolerances: golden/momq/README.md measured f32 against f64 as 9e-7 (layers), 2e-7 (losses), 7e-6 (logits, gradients),
-- of the largest element; here f64 meets them, f32 twice as much.
local layers = require "sqlune.momq.layer"
local losses = require "sqlune.momq.losses"
local momq = require "sqlune.momq"
local sq = require "sqlune"
local t = require "tests.check"
local json, models, ops = sq.json, sq.models, sq.ops

local function golden(name) return t.shared("golden/momq/" .. name) end
local function numbers(name) return assert(sq.safetensors.load(golden(name))) end

local FACTOR = { f64 = 1, f32 = 2 }

---Fails unless a is within tolerance of b, relative to b's largest element.
local function close(a, b, tolerance, what)
  t.eq(a:numel(), b:numel(), what)
  local x, y = a:detach():to("f64", "cpu"):reshape { -1 }, b:to("f64", "cpu"):reshape { -1 }
  local size = math.max(y:abs():max():item(), 1e-30)
  local d = (x - y):abs():max():item() / size
  t.ok(d <= tolerance, ("%s: differs by %.3g, at most %.3g"):format(what, d, tolerance)) -- false for NaN
end

local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

-- What cases.json calls a setting that a layer or a model takes.
local SETTINGS = { "num_experts", "num_experts_per_tok", "share_expert_num", "dialect_num", "lora_r", "lora_alpha",
  "lora_route_type", "enable_dialect_router", "use_in_group_balance", "hard_dialect_router", "output_router_logits",
  "router_aux_loss_coef", "dialect_router_loss_coef", "enable_label_smooth", "smooth_factor", "lora_target_modules",
  "moe_lora_target_modules" }

local function config_of(case, mode, more)
  local settings = { momq_mode = mode, lora_dropout = 0 }
  for _, key in ipairs(SETTINGS) do settings[key] = case[key] end
  for key, value in pairs(more or {}) do settings[key] = value end
  return momq.config(settings)
end

local function leaf(x, dtype)
  x = x:to(dtype):clone()
  x.requires_grad = true
  return x
end

---A layer with a golden file's tensors.
local function layer_of(io, case, c, dtype)
  local linear = { name = "m", weight = io.weight:to(dtype):clone(), bias = io.bias and io.bias:to(dtype):clone() }
  local stream = 0
  local layer = layers.new(linear, c, case.num_experts, function()
    stream = stream + 1
    return stream
  end, 1)
  for name, x in pairs(layer:files()) do
    ops.copy_(x, (t.ok(io[name:sub(3)], name)))
  end
  for _, x in pairs(layer.tensors) do x.requires_grad = true end
  return layer
end

---Gradients of a layer's tensors by their names in a file.
local function gradients(layer, prefix)
  local list = {}
  for key, x in pairs(layer.tensors) do
    local g = x.grad
    if g and x.ndim == 3 then
      for e = 1, x:size(1) do list[prefix .. key .. "." .. e - 1] = g:select(1, e) end
    else
      list[prefix .. key] = g
    end
  end
  return list
end

local function check_gradients(layer, x, io, prefix, tolerance)
  local mine = gradients(layer, prefix)
  mine[prefix .. "x"] = x.grad
  for name, want in pairs(io) do
    if name:sub(1, #prefix) == prefix then close(t.ok(mine[name], "no " .. name), want, tolerance, name) end
  end
  for _, p in pairs(layer.tensors) do p.grad = nil end
  x.grad = nil
end

local function starts_of(rows, length)
  local starts = {}
  for row = 0, rows do starts[row + 1] = row * length end
  return starts
end

---One of the original's layers: outputs, choices, gradients, evaluation.
local function compat_layer(case, dtype, tolerance, gradient_tolerance)
  local _s <close> = sq.scope()
  local io = numbers("layer/" .. case.file)
  local c = config_of(case, "compat", { output_router_logits = case.lora_route_type == "token" })
  local layer = layer_of(io, case, c, dtype)
  local x = leaf(io.x:reshape { -1, case.in_features }, dtype)
  local rows = integers(starts_of(case.B, case.T))
  local at = { routes = {}, rows = rows, training = true }
  local y = layer:run(x, at)
  local route = at.routes[1] or {}
  close(y, io["train.y"], tolerance, case.name .. " y")
  local total = (y * io["upstream.y"]:to(dtype):reshape(y.shape)):sum()
  for key, name in pairs { z = "router_logits", u = "dialect_logits" } do
    local want = io["train." .. name]
    if want then
      close(route[key], want, tolerance, case.name .. " " .. name)
      total = total + (route[key] * io["upstream." .. name]:to(dtype):reshape(route[key].shape)):sum()
    end
  end
  if io.topk_ids then
    t.eq(route.ids:totable(), io.topk_ids:totable(), case.name .. " ids")
    close(route.weights, io.topk_weights, tolerance, case.name .. " weights")
    close(route.v, io.routing_weights, tolerance, case.name .. " routing weights")
  end
  total:backward()
  check_gradients(layer, x, io, "grad.", gradient_tolerance)
  if io["grad_y.x"] then
    y = layer:run(x, { rows = rows, training = true })
    y:backward(io["upstream.y"]:to(dtype):reshape(y.shape))
    check_gradients(layer, x, io, "grad_y.", gradient_tolerance)
  end
  y = sq.no_grad(function() return layer:run(x, { rows = rows }) end)
  close(y, io["eval.y"], tolerance, case.name .. " eval.y")
  local constant = layer:constant()
  if constant then
    close(layer.linear.weight:to(constant.dtype) + constant, io["eval.weight"], tolerance, case.name .. " eval.weight")
  end
end

local tests = {
  ["the original's layers"] = function()
    for _, case in ipairs(assert(json.read(golden "layer/cases.json"))) do
      if case.dtype == "float32" then
        compat_layer(case, "f64", 1e-6, 1e-6)
        compat_layer(case, "f32", 2e-6, 2e-6)
      end
    end
  end,

  ["a layer in bf16"] = function() -- it agrees with exact arithmetic only within 8e-3
    for _, case in ipairs(assert(json.read(golden "layer/cases.json"))) do
      if case.dtype == "bfloat16" then compat_layer(case, "bf16", 2 ^ -6, 2 ^ -4) end
    end
  end,
}

-------------------------------------------------------------------------------------------------------- models

---Attention as the original computes it: padded positions are live, padded keys are masked. `mask`: [B][T] of 1 and 0.
local function masked_attention(mask)
  local B, T = #mask, #mask[1]
  local bias = {}
  for row = 1, B do
    bias[row] = {}
    for i = 1, T do
      bias[row][i] = {}
      for j = 1, T do bias[row][i][j] = (j > i or mask[row][j] == 0) and -1e30 or 0 end
    end
  end
  return function(q, k, v)
    local H, KV, D, list = q:size(2), k:size(2), q:size(3), {}
    for row = 1, B do
      local function part(x)
        x = x:narrow(1, (row - 1) * T + 1, T)
        if x:size(2) == H then return x:permute { 2, 1, 3 } end
        return x:reshape { T, KV, 1, D }:expand { T, KV, H // KV, D }:reshape { T, H, D }:permute { 2, 1, 3 }
      end
      local scores = ops.matmul(part(q), part(k):transpose(2, 3)) * D ^ -0.5
        + sq.tensor(bias[row], { dtype = q.dtype, device = q.device })
      list[row] = ops.matmul(ops.softmax(scores), part(v)):permute { 2, 1, 3 }
    end
    return ops.cat(list)
  end
end

---Runs fn with padded positions alive.
local function alive(mask, fn)
  local attention = ops.attention
  ops.attention = masked_attention(mask)
  local ok, message = xpcall(fn, debug.traceback)
  ops.attention = attention
  if not ok then error(message, 0) end
end

---Rows [B, T] of ids and labels as a batch of all positions.
local function padded_batch(ids, labels)
  local flat, targets, dialects, labelled, T = {}, {}, {}, 0, #ids[1]
  for row = 1, #ids do
    for i = 1, T do
      flat[#flat + 1] = ids[row][i]
      targets[#targets + 1] = labels[row][i + 1] or -100
      if targets[#targets] ~= -100 then labelled = labelled + 1 end
    end
    dialects[row] = math.max(labels[row][1], -1)
  end
  return { ids = integers(flat), targets = integers(targets), starts = starts_of(#ids, T), dialects = dialects,
    tokens = #flat, labelled = labelled }
end

local function model_with(base, adapter_file, c, dtype)
  local model = assert(models.load(golden(base), { dtype = dtype, train = momq.trained(c), tokenizer = false }))
  local adapter = momq.attach(model, c)
  assert(adapter:take(assert(sq.safetensors.load(golden(adapter_file))), adapter_file))
  adapter:train()
  return model, adapter
end

---What each row of the balance loss counts. The original looks at the wrong token where rows are groups of tokens.
local function row_weights(mask, c, dtype)
  local flat, list = {}, {}
  for _, row in ipairs(mask) do table.move(row, 1, #row, #flat + 1, flat) end
  local rows = c.use_in_group_balance and #flat * c.dialect_num or #flat
  for i = 0, rows - 1 do list[i + 1] = flat[i % #flat + 1] end
  return sq.tensor(list, { dtype = dtype })
end

local function forward(model, adapter, batch, mask)
  local at = momq.context()
  at.row_weights = mask and row_weights(mask, adapter.c, model.dtype)
  local lm = model:loss_sum(batch, { at = at }) / batch.labelled
  return lm, at
end

---Tensors of all layers' routes, one after the other.
local function gathered(routes, key)
  local list = {}
  for i, route in ipairs(routes) do list[i] = route[key]:detach():reshape { -1 } end
  return ops.cat(list)
end

local function near(mine, want, tolerance, what)
  if want == nil or want == json.null then return t.eq(mine, nil, what) end
  t.near(mine:item(), want, tolerance * math.abs(want), what)
end

---Gradients of an adapter by their names in a file.
local function adapter_gradients(adapter)
  local list = {}
  for _, layer in ipairs(adapter.layers) do
    for name, g in pairs(gradients(layer, layer.name .. ".")) do list["grad." .. name] = g end
  end
  for _, name in ipairs(adapter.norms) do list["grad." .. name] = adapter.model.parts.by_name[name].grad end
  return list
end

local function check_model_gradients(adapter, io, tolerance, what)
  local mine = adapter_gradients(adapter)
  for name, want in pairs(io) do
    if name:sub(1, 5) == "grad." then
      local size = want:abs():max():item()
      local g = mine[name]
      if size == 0 then
        t.ok(g == nil or g:abs():max():item() == 0, what .. " " .. name .. " is not 0")
      else
        close(t.ok(g, "no " .. name), want, tolerance, what .. " " .. name)
      end
    end
  end
end

local function compat_model(case, dtype)
  local _s <close> = sq.scope()
  local io, factor = numbers("model/" .. case.file), FACTOR[dtype]
  local c = config_of(case.settings, "compat")
  local model, adapter = model_with("model/base", "model/" .. case.adapter .. "/model.safetensors", c, dtype)
  local mask, labels = io.attention_mask:totable(), io.labels:totable()
  local batch = padded_batch(io.input_ids:totable(), labels)
  alive(mask, function()
    local lm, at = forward(model, adapter, batch, mask)
    near(lm, case.train.lm_loss, 3e-7 * factor, case.name .. " lm_loss")
    if io.topk_ids then
      t.eq(gathered(at.routes, "ids"):totable(), io.topk_ids:reshape({ -1 }):totable(), case.name .. " ids")
      close(gathered(at.routes, "weights"), io.topk_weights, 1e-5 * factor, case.name .. " weights")
      local logits = io["train.router_logits"]
      if logits then close(gathered(at.routes, "z"), logits, 8e-6 * factor, case.name .. " router logits") end
    end
    local extra, parts = adapter:losses(at, batch, adapter:counts { batch })
    near(parts.dialect_loss, case.train.dialect_loss, 5e-7 * factor, case.name .. " dialect_loss")
    near(parts.balance_loss, case.train.aux_loss, 5e-7 * factor, case.name .. " aux_loss")
    local loss = lm + extra
    near(loss, case.train.loss, 3e-7 * factor, case.name .. " loss")
    loss:backward()
    check_model_gradients(adapter, io, 8e-6 * factor, case.name)
    local logits = sq.no_grad(function()
      return model:logits(model:hidden(batch.ids, models.packed(batch.starts)))
    end)
    close(logits, io["eval.logits"], 8e-6 * factor, case.name .. " logits")
  end)
end

for _, name in ipairs { "scripted", "coefficients", "smooth", "no_padding", "one_unlabelled", "no_balance", "in_group",
  "in_group_smooth_no_padding", "no_dialect_router", "up_and_down", "sentence" } do
  tests["the original's model, " .. name] = function()
    for _, case in ipairs(assert(json.read(golden "model/cases.json"))) do
      if case.name == name then
        compat_model(case, "f64")
        compat_model(case, "f32")
      end
    end
  end
end

---The largest |a - b| as a share of the largest movement of b from start, over all tensors.
local function check_weights(adapter, start, want, tolerance, what)
  for name, x in pairs(adapter:files()) do
    local target, first = want[name]:to "f64", start[name]:to("f64", "cpu")
    local moved = (target - first):abs():max():item()
    local d = (x:detach():to("f64", "cpu") - target):abs():max():item()
    t.ok(d <= tolerance * math.max(moved, 1e-9), ("%s %s: off by %g of %g"):format(what, name, d, moved))
  end
end

---12 steps of AdamW as the original's trainer takes them: decay on everything that is trained.
local function training_run(folder, dtype)
  local _s <close> = sq.scope()
  local run = assert(json.read(golden(folder .. "/run.json")))
  local batches = numbers(folder .. "/batches.safetensors")
  local start = numbers(folder .. "/start/model.safetensors")
  local c, factor, o = config_of(run.settings, "compat"), FACTOR[dtype], run.optimizer
  local model, adapter = model_with("model/base", folder .. "/start/model.safetensors", c, dtype)
  local parameters = adapter:parameters()
  local optimizer = sq.optim.adamw(adapter:names(), parameters, {
    beta1 = o.betas[1], beta2 = o.betas[2], eps = o.eps, weight_decay = o.weight_decay,
    decay_of = function() return true end,
  })
  for _, step in ipairs(run.steps) do
    local _step <close> = sq.scope()
    local function rows(name) return batches[name]:select(1, step.step):totable() end
    local mask, batch = rows "attention_mask", padded_batch(rows "input_ids", rows "labels")
    alive(mask, function()
      local what = ("%s, %s, step %d: "):format(folder, dtype, step.step)
      local lm, at = forward(model, adapter, batch, mask)
      local extra, parts = adapter:losses(at, batch, adapter:counts { batch })
      local loss = lm + extra
      near(lm, step.lm_loss, 3e-6 * factor, what .. "lm_loss")
      near(parts.dialect_loss, step.dialect_loss, 3e-6 * factor, what .. "dialect_loss")
      near(parts.balance_loss, step.aux_loss, 3e-6 * factor, what .. "aux_loss")
      near(loss, step.loss, 3e-6 * factor, what .. "loss")
      loss:backward()
      local clip = o.max_grad_norm ~= json.null and o.max_grad_norm or 0
      local norm, share = sq.optim.clip(parameters, clip)
      t.near(norm / step.grad_norm, 1, 2e-6 * factor, what .. "gradient norm")
      optimizer:step(step.lr, share)
    end)
    if step.step == 1 then
      check_weights(adapter, start, numbers(folder .. "/after_step_1.safetensors"), 5e-3 * factor, folder .. " step 1")
    end
  end
  check_weights(adapter, start, numbers(folder .. "/final.safetensors"), 1e-3 * factor, folder .. " final")
end

for _, name in ipairs { "run_adamw", "run_clip_schedule" } do
  tests["the original's training, " .. name] = function()
    training_run("model/" .. name, "f64")
    training_run("model/" .. name, "f32")
  end
end

tests["a folder that the original wrote"] = function()
  local _s <close> = sq.scope()
  local io = numbers "model/up_and_down.safetensors"
  local model = assert(models.load(golden "model/adapter_up_and_down", { base = golden "model/base" }))
  t.eq(model.momq.c.moe_lora_target_modules, { "down_proj", "up_proj" })
  local batch, mask = padded_batch(io.input_ids:totable(), io.labels:totable()), io.attention_mask:totable()
  alive(mask, function()
    local logits = sq.no_grad(function()
      return model:logits(model:hidden(batch.ids, models.packed(batch.starts)))
    end)
    close(logits, io["eval.logits"], 1.6e-5, "logits")
  end)
  local folder = t.tmpdir()
  assert(model.momq:save(folder))
  local stored, mine = numbers "model/adapter_up_and_down/model.safetensors", assert(sq.safetensors.load(folder))
  for name, x in pairs(stored) do t.eq(mine[name]:totable(), x:totable(), name) end
  for name in pairs(mine) do t.ok(stored[name], name) end
end

--------------------------------------------------------------------------------------------------------- paper

local function paper_config(case)
  return config_of(case, "paper", { norm_topk_prob = case.renormalize, enable_label_smooth = case.smooth_factor > 0 })
end

local function paper_layer(case, dtype)
  local _s <close> = sq.scope()
  local io, tolerance = numbers("paper/" .. case.file), 1e-6 * FACTOR[dtype]
  local c = paper_config(case)
  local layer = layer_of(io, case, c, dtype)
  local x = leaf(io.x:reshape { -1, case.in_features }, dtype)
  local at = { routes = {}, training = true }
  local y = layer:run(x, at)
  local route = at.routes[1]
  close(y, io.y, tolerance, case.name .. " y")
  close(route.u, io.dialect_logits, tolerance, case.name .. " dialect logits")
  close(route.p, io.dialect_probs, tolerance, case.name .. " dialect probabilities")
  local N, E = x:size(1), c.num_experts
  local spread = {}
  local ids, weights = route.ids:totable(), route.weights:totable()
  for i = 1, N do
    spread[i] = {}
    for e = 1, E do spread[i][e] = 0 end
    for k, e in ipairs(ids[i]) do spread[i][e + 1] = weights[i][k] end
  end
  close(sq.tensor(spread, { dtype = "f64" }), io.weights, tolerance, case.name .. " weights")
  if route.top then
    t.eq(route.top:totable(), io.dialect_top:totable(), case.name .. " top")
  else
    t.eq(ids, io.expert_ids:reshape({ N, -1 }):totable(), case.name .. " ids")
    close(route.s, io.group_weights, tolerance, case.name .. " group weights")
  end
  y:backward(io["upstream.y"]:to(dtype):reshape(y.shape))
  check_gradients(layer, x, io, "grad_y.", tolerance)

  -- The losses see no padding: the tokens that are there, and the dialect of those of a prompt.
  local place, labels = {}, {}
  local prompts, dialects = io.prompt_mask:totable(), io.dialect_id:totable()
  for row, list in ipairs(io.attention_mask:totable()) do
    for i, m in ipairs(list) do
      if m == 1 then
        place[#place + 1] = (row - 1) * case.T + i - 1
        labels[#labels + 1] = prompts[row][i] == 1 and dialects[row] >= 0 and dialects[row] or -100
      end
    end
  end
  local count = 0
  for _, d in ipairs(labels) do count = count + (d >= 0 and 1 or 0) end
  local smooth = c.enable_label_smooth and c.smooth_factor or 0
  for key, fn in pairs {
    dialect = function(routes) return losses.dialect_of_tokens(routes, integers(labels), count, smooth) end,
    balance = function(routes) return losses.balance_in_groups(routes, c) end,
  } do
    at = { routes = {}, training = true }
    layer:run(ops.gather_rows(x, integers(place)), at)
    local loss = fn(at.routes)
    near(loss, case.losses[key .. "_loss"], dtype == "f64" and 1e-7 or 1e-6, case.name .. " " .. key .. " loss")
    loss:backward()
    check_gradients(layer, x, io, "grad_" .. key .. ".", tolerance)
  end
end

local function paper_model(case, dtype)
  local _s <close> = sq.scope()
  local io, factor = numbers("paper/" .. case.file), FACTOR[dtype]
  local model, adapter = model_with("model/base", "paper/" .. case.file:gsub("%.safetensors", "_adapter.safetensors"),
    paper_config(case), dtype)
  local ids, labels, flat, targets, starts, place = io.input_ids:totable(), io.labels:totable(), {}, {}, { 0 }, {}
  local labelled = 0
  for row, n in ipairs(case.lens) do
    for i = 1, n do
      flat[#flat + 1], place[#place + 1] = ids[row][i], (row - 1) * case.T + i - 1
      targets[#flat] = i < n and labels[row][i + 1] or -100
      if targets[#flat] ~= -100 then labelled = labelled + 1 end
    end
    starts[row + 1] = #flat
  end
  local batch = { ids = integers(flat), targets = integers(targets), starts = starts, tokens = #flat,
    labelled = labelled, dialects = io.dialect_id:totable() }
  local lm, at = forward(model, adapter, batch)
  for l, route in ipairs(at.routes) do
    local want = ops.gather_rows(io.dialect_logits:select(1, l):contiguous(), integers(place))
    close(route.u, want, 8e-6 * factor, case.name .. " dialect logits")
  end
  local extra, parts = adapter:losses(at, batch, adapter:counts { batch })
  near(lm, case.losses.lm_loss, 3e-7 * factor, case.name .. " lm_loss")
  near(parts.dialect_loss, case.losses.dialect_loss, 5e-7 * factor, case.name .. " dialect_loss")
  near(parts.balance_loss, case.losses.balance_loss, 5e-7 * factor, case.name .. " balance_loss")
  local loss = lm + extra
  near(loss, case.losses.loss, 3e-7 * factor, case.name .. " loss")
  loss:backward()
  check_model_gradients(adapter, io, 8e-6 * factor, case.name)
  local logits = sq.no_grad(function() return model:logits(model:hidden(batch.ids, models.packed(starts))) end)
  local want = ops.gather_rows(io.logits:reshape { -1, model.shape.vocabulary }, integers(place))
  close(logits, want, 8e-6 * factor, case.name .. " logits")
end

tests["the paper's reading"] = function()
  for _, case in ipairs(assert(json.read(golden "paper/cases.json"))) do
    for _, dtype in ipairs { "f64", "f32" } do
      if case.kind == "layer" then paper_layer(case, dtype) else paper_model(case, dtype) end
    end
  end
end

return tests
