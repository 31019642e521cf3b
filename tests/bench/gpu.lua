-- A card: kernels with their share of the roofline, training steps and decoding of Qwen2.5-Coder's shapes (random
-- weights), beside PyTorch with transformers and PEFT.
--
--   sqlune tests/bench/gpu.lua [PYTHON [FILTER [small]]]     PYTHON "" or -: no peer; FILTER: part of a row's name
--
-- Medians of at least 5 timed rounds after two of warming up; a round is as many calls as fill 20 ms, and ends when the
-- card is done. The roofline is measured first: a product of 8192 x 8192 matrices in bf16 and a copy of 1 GiB. `small`:
-- sizes that the emulated card can do, to see that everything runs.
local layers = require "sqlune.momq.layer"
local sq = require "sqlune"
local ops = sq.ops

local python = arg[1] ~= "" and arg[1] ~= "-" and arg[1] or nil
local filter, small = arg[2] or "", arg[3] == "small"
local CARD <const> = "cuda:0"
if #sq.devices() < 2 then
  print "no card at hand"
  os.exit(0)
end

local rows, order = {}, {}
local function wanted(name) return name:find(filter, 1, true) ~= nil end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

---Seconds of one call.
local function seconds(fn, rounds)
  local function round(calls)
    sq.synchronize(CARD)
    local start = sq.sys.clock()
    for _ = 1, calls do fn() end
    sq.synchronize(CARD)
    return (sq.sys.clock() - start) / calls
  end
  if small then return round(1) end
  round(1)
  local calls = math.max(1, math.min(1000, 0.02 // round(1)))
  local times = {}
  for i = 1, rounds or 5 do times[i] = round(calls) end
  return median(times)
end

local peak = {} -- { flops a second, bytes a second }

---A row: what it takes, and what it would take if the card did nothing but its products or its reads and writes.
---fn does work.calls times (1) what the row is about.
local function row(name, work, fn)
  if not wanted(name) then return end
  local ok, time = pcall(seconds, fn)
  collectgarbage()
  if not ok then
    io.stderr:write(name, ": ", tostring(time), "\n")
    return
  end
  time = time / (work.calls or 1)
  local least = math.max((work.flops or 0) / peak.flops, (work.bytes or 0) / peak.bytes)
  rows[name] = { time = time, share = least / time, memory = sq.tensor_memory(true, CARD).peak_bytes }
  order[#order + 1] = name
  print(("%s\t%.4f ms\t%.0f%% of the roofline"):format(name, time * 1e3, 100 * least / time))
end

local stream = 0
local function random(shape, dtype, wants)
  stream = stream + 1
  local _s <close> = sq.scope()
  local x = sq.randn(shape, { device = CARD, seed = 1, stream = stream }):to(dtype):detach()
  x.requires_grad = wants or false
  return x:keep()
end

---Calls fn without recording, its tensors gone at the end.
local function plain(fn)
  return function()
    local _s <close> = sq.scope()
    sq.no_grad(fn)
  end
end

do -- the roofline
  local n = small and 64 or 8192
  local _s <close> = sq.scope()
  local a, b = random({ n, n }, "bf16"), random({ n, n }, "bf16")
  peak.flops = 2 * n ^ 3 / seconds(plain(function() ops.matmul(a, b) end))
  local x, y = random({ n, n }, "f32"), random({ n, n }, "f32")
  peak.bytes = 8 * n * n / seconds(plain(function() ops.copy_(x, y) end))
  print(("%s: product %.0f TFLOP/s, copy %.2f TB/s"):format(sq.devices()[2].description, peak.flops / 1e12,
    peak.bytes / 1e12))
end

----------------------------------------------------------------------------------------------------------- kernels

local TOKENS, WIDTH, INNER, HEADS, GROUPS, DIM, VOCAB = 4096, 3584, 18944, 28, 4, 128, 152064
if small then TOKENS, WIDTH, INNER, HEADS, GROUPS, DIM, VOCAB = 8, 32, 48, 4, 2, 64, 64 end

do -- memory-bound kernels in bf16
  local _s <close> = sq.scope()
  local n = TOKENS * WIDTH
  local x, r, w = random({ TOKENS, WIDTH }, "bf16"), random({ TOKENS, WIDTH }, "bf16"), random({ WIDTH }, "bf16")
  local gate, up = random({ TOKENS, INNER }, "bf16"), random({ TOKENS, INNER }, "bf16")
  local m = TOKENS * INNER
  row("rms_norm forward", { bytes = 8 * n }, plain(function() ops.rms_norm(x, w, 1e-6, r) end))
  row("swiglu forward", { bytes = 6 * m }, plain(function() ops.swiglu(gate, up) end))
  row("add", { bytes = 6 * n }, plain(function() return x + r end))
  row("dropout", { bytes = 4 * n }, plain(function() return x:dropout(0.1, 1) end))
  row("softmax", { bytes = 4 * n }, plain(function() return ops.softmax(x) end))
  row("sum", { bytes = 2 * n }, plain(function() return x:sum() end))
  local p, g = random({ n }, "f32"), random({ n }, "f32")
  local a, b = sq.zeros({ n }, { device = CARD }), sq.zeros({ n }, { device = CARD })
  row("adamw f32", { bytes = 28 * n }, plain(function()
    ops.adamw_({ p }, { g }, { a }, { b }, nil, { lr = 1e-5, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0,
      step = 1 })
  end))
  row("global_norm f32", { bytes = 4 * n }, plain(function() ops.global_norm { g } end))
  local table_of, ids = random({ VOCAB, WIDTH }, "bf16"), {}
  for i = 1, TOKENS do ids[i] = i * 7919 % VOCAB end
  ids = sq.tensor(ids, { dtype = "i64" })
  row("embedding forward", { bytes = 4 * n }, plain(function() ops.embedding(ids, table_of) end))
end

---Forward alone, and forward with backward.
local function both(name, work, inputs, fn)
  row(name .. " forward", work, plain(function() fn(table.unpack(inputs)) end))
  local dy
  row(name .. " both", { flops = 3 * (work.flops or 0), bytes = 3 * (work.bytes or 0) }, function()
    local _s <close> = sq.scope()
    local y = fn(table.unpack(inputs))
    dy = dy or sq.ones(y.shape, { dtype = y.dtype, device = CARD }):keep()
    y:backward(dy)
    for _, x in ipairs(inputs) do x:zero_grad() end
  end)
end

for _, shape in ipairs { { WIDTH, WIDTH }, { WIDTH, INNER }, { INNER, WIDTH } } do
  local _s <close> = sq.scope()
  local k, n = shape[1], shape[2]
  both(("linear %dx%d"):format(k, n), { flops = 2 * TOKENS * k * n },
    { random({ TOKENS, k }, "bf16", true), random({ n, k }, "bf16", true) }, ops.linear)
end
-- A layer with the settings of the original's script: 24 experts in 3 groups, 2 a token, 2 for all.
for _, shape in ipairs { { WIDTH, INNER }, { INNER, WIDTH } } do
  local _s <close> = sq.scope()
  local k, n, rank = shape[1], shape[2], small and 8 or 128
  local c = sq.momq.config { momq_mode = "compat", num_experts = 24, num_experts_per_tok = 2, share_expert_num = 2,
    dialect_num = 3, lora_r = rank, lora_alpha = 2 * rank, lora_dropout = 0 }
  local number = 0
  local layer = layers.new({ name = "linear", weight = random({ n, k }, "bf16") }, c, c.num_experts, function()
    number = number + 1
    return number
  end, 1)
  for _, p in pairs(layer.tensors) do p.requires_grad = true end
  local x, dy = random({ TOKENS, k }, "bf16", true), random({ TOKENS, n }, "bf16")
  -- Frozen weight: forward and dx; the experts that a token meets: forward, dx and their own gradients.
  local flops = 4 * TOKENS * k * n + 6 * TOKENS * rank * 4 * (k + n)
  row(("momq layer %dx%d both"):format(k, n), { flops = flops }, function()
    local _inner <close> = sq.scope()
    layer:run(x, { training = true }):backward(dy)
    x:zero_grad()
    for _, p in pairs(layer.tensors) do p:zero_grad() end
  end)
end
for _, length in ipairs(small and { 40 } or { 2048, 8192, 32768 }) do
  local _s <close> = sq.scope()
  local where = sq.tensor({ 0, length }, { dtype = "i64" })
  both(("attention %d"):format(length), { flops = 2 * length * length * HEADS * DIM }, {
    random({ length, HEADS, DIM }, "bf16", true), random({ length, GROUPS, DIM }, "bf16", true),
    random({ length, GROUPS, DIM }, "bf16", true),
  }, function(q, k, v) return ops.attention(q, k, v, { rows = where }) end)
end

---One query of each of `count` sequences against `length` keys in pages, as a replayed graph of `calls` caches in turn:
---more bytes than a card's L2 holds.
local function attend(count, length)
  local title = ("attention decode %dx%d"):format(count, length)
  if not wanted(title) then return end
  local _s <close> = sq.scope()
  local each, bytes = (length + 63) // 64, 4 * count * length * GROUPS * DIM
  local calls = small and 2 or math.max(1, (512 << 20) // bytes)
  local q, places = random({ count, HEADS, DIM }, "bf16"), {}
  local function cache() return random({ calls * count * each, 64, GROUPS, DIM }, "bf16") end
  local k, v, starts, lengths = cache(), cache(), { 0 }, {}
  for s = 1, count do starts[s + 1], lengths[s] = s, length end
  local function on_card(list) return sq.tensor(list, { dtype = "i64" }):to(CARD) end
  local rows_of, length_of = on_card(starts), on_card(lengths)
  for call = 1, calls do -- neighbouring pages belong to different sequences, as when these grow together
    local list = {}
    for s = 1, count do
      for j = 1, each do list[#list + 1] = ((call - 1) * each + j - 1) * count + s - 1 end
    end
    places[call] = on_card(list):reshape { count, each }
  end
  local graph <close> = sq.graph(function()
    for call = 1, calls do
      local _call <close> = sq.scope()
      ops.attention(q, k, v, { rows = rows_of, lengths = length_of, pages = places[call] })
    end
  end, CARD)
  row(title, { bytes = bytes, calls = calls }, graph)
end
for _, length in ipairs(small and { 70 } or { 4096, 32768 }) do
  for _, count in ipairs(small and { 1, 3 } or { 1, 8, 64 }) do attend(count, length) end
end

------------------------------------------------------------------------------------------------- training, decoding

local shapes = {
  ["0.5B"] = { 896, 4864, 24, 14, 2, 151936, true }, ["1.5B"] = { 1536, 8960, 28, 12, 2, 151936, true },
  ["7B"] = { 3584, 18944, 28, 28, 4, 152064, false }, small = { 128, 48, 2, 2, 1, 320, true },
}
local function config_of(name)
  local s = shapes[name]
  return { model_type = "qwen2", hidden_size = s[1], intermediate_size = s[2], num_hidden_layers = s[3],
    num_attention_heads = s[4], num_key_value_heads = s[5], vocab_size = s[6], tie_word_embeddings = s[7],
    rope_theta = 1e6 }
end

---One packed row of `length` tokens, the last twentieth labelled.
local function batch_of(length, vocab)
  local ids, targets, labelled = {}, {}, 0
  for i = 1, length do
    ids[i] = i * 104729 % vocab
    targets[i] = i > 0.95 * length and i * 31 % vocab or -100
    if targets[i] ~= -100 then labelled = labelled + 1 end
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }),
    starts = { 0, length }, labelled = labelled, tokens = length }
end

local function train(name, how, length, checkpoint)
  local title = ("sft %s %s %d%s"):format(name, how, length, checkpoint and " checkpointing" or "")
  if not wanted(title) then return end
  local _s <close> = sq.scope()
  local lora = how == "lora"
  local ok, model = pcall(sq.models.from_config, config_of(name), { dtype = "bf16", device = CARD, train = not lora })
  if not ok then return io.stderr:write(title, ": ", tostring(model), "\n") end
  local trained = lora and assert(sq.lora.add(model, { r = 16, lora_alpha = 32, target_modules = "all-linear" },
    { train = true })) or model
  local parameters, names = trained:parameters(), trained:names()
  local optimizer = sq.optim.adamw(names, parameters, {})
  local data = batch_of(length, model.shape.vocabulary)
  local matrices = model:size() - model.shape.vocabulary * model.shape.hidden * (model.shape.tied and 1 or 2)
  local c = model.shape
  local attention = 2 * c.layers * length * length * c.heads * c.head_dim
  sq.tensor_memory(true, CARD)
  -- Forward and the gradients of the inputs; with full training those of the weights too. The head's product, of the
  -- labelled rows alone, is left out.
  row(title, { flops = (lora and 2 or 3) * (2 * matrices * length + attention) }, function()
    do
      local _inner <close> = sq.scope()
      local loss = model:loss_sum(data, { checkpoint = checkpoint }) / data.labelled
      loss:backward()
    end
    local _, factor = sq.optim.clip(parameters, 1.0)
    optimizer:step(1e-5, factor)
  end)
end

local lengths = small and { 24 } or { 2048, 8192 }
for _, name in ipairs(small and { "small" } or { "0.5B", "1.5B", "7B" }) do
  for _, length in ipairs(lengths) do
    for _, checkpoint in ipairs { false, true } do
      if name ~= "7B" then train(name, "full", length, checkpoint) end -- 7B with AdamW in f32 is more than a card holds
      train(name, "lora", length, checkpoint)
    end
  end
end

local function decode(name, count)
  local title = ("decode %s %d"):format(name, count)
  if not wanted(title) then return end
  local _s <close> = sq.scope()
  local model = assert(sq.models.from_config(config_of(name), { dtype = "bf16", device = CARD }))
  local prompts, tokens = {}, small and 3 or 64
  for i = 1, count do prompts[i] = { i, i + 1, i + 2, i + 3 } end
  local function run(n) return function() sq.generate.run(model, prompts, { max_tokens = n }) end end
  local one = seconds(run(1), 3)
  row(title, { bytes = 2 * model:size() * (tokens - 1) }, run(tokens))
  local r = rows[title]
  if not r then return end
  local each = (r.time - one) / (tokens - 1)
  r.share, r.time = 2 * model:size() / peak.bytes / each, each
  r.rate = count / each
end
for _, name in ipairs(small and { "small" } or { "0.5B", "7B" }) do
  for _, count in ipairs { 1, 8, 64 } do decode(name, count) end
end

-------------------------------------------------------------------------------------------------------------- peer

local theirs = {}
if python then
  local home = debug.getinfo(1, "S").source:sub(2):match "^(.*/)" or "./"
  local pipe = assert(io.popen(("'%s' '%sgpu_peer.py' '%s' %s"):format(python, home, filter, small and "small" or "")))
  for line in pipe:lines() do
    local name, ms, memory = line:match "^(.-)\t(%S+)\t(%S+)$"
    if name then theirs[name] = { time = tonumber(ms) / 1e3, memory = tonumber(memory) } end
  end
  pipe:close()
end
local out = {}
for i, name in ipairs(order) do
  local r, p = rows[name], theirs[name]
  out[i] = { name, ("%.4f"):format(r.time * 1e3), ("%.0f%%"):format(100 * r.share),
    p and ("%.4f"):format(p.time * 1e3) or "-", p and ("%.2f"):format(p.time / r.time) or "-",
    sq.term.bytes(r.memory), p and sq.term.bytes(math.floor(p.memory)) or "-" }
end
print(sq.term.table { columns = { "what", "ms", "roofline", "PyTorch ms", "faster", "peak", "PyTorch's" }, rows = out })
