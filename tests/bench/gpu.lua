-- A card: kernels with their share of the roofline, training steps and decoding of Qwen2.5-Coder's shapes (random
-- weights), beside PyTorch with transformers and PEFT.
--
--   sqlune tests/bench/gpu.lua [PYTHON [FILTER [small]]]     PYTHON "" or -: no peer; FILTER: part of a row's name
--
-- Medians of at least 5 timed rounds after two of warming up; a round is as many calls as fill 20 ms, and ends when the
-- card is done. The roofline is measured first: a product of 8192 x 8192 matrices in bf16 and a copy of 1 GiB. `small`:
-- sizes that the emulated card can do, to see that everything runs.
local layers = require "sqlune.momq.layer"
local markdown = require "tests.bench.markdown"
local shapes = require "tests.bench.shapes"
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
  sq.tensor_memory(true, CARD)
  local ok, time = pcall(seconds, fn)
  collectgarbage()
  if not ok then
    io.stderr:write(name, ": ", tostring(time), "\n")
    return
  end
  time = time / (work.calls or 1)
  local least = math.max((work.flops or 0) / peak.flops, (work.bytes or 0) / peak.bytes)
  rows[name] = { time = time, share = least / time, memory = sq.tensor_memory(false, CARD).peak_bytes }
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

---Forward alone, and forward with backward, which takes work.both bytes and work.both_flops, or three times what
---forward takes.
local function both(name, work, inputs, fn)
  row(name .. " forward", work, plain(function() fn(table.unpack(inputs)) end))
  local dy
  local all = { flops = work.both_flops or 3 * (work.flops or 0), bytes = work.both or 3 * (work.bytes or 0) }
  row(name .. " both", all, function()
    local _s <close> = sq.scope()
    local y = fn(table.unpack(inputs))
    dy = dy or sq.ones(y.shape, { dtype = y.dtype, device = CARD }):keep()
    y:backward(dy)
    for _, x in ipairs(inputs) do x:zero_grad() end
  end)
end

do -- elementwise, rows
  local _s <close> = sq.scope()
  local n, m = TOKENS * WIDTH, TOKENS * INNER
  local x, r, w = random({ TOKENS, WIDTH }, "bf16", true), random({ TOKENS, WIDTH }, "bf16"), random({ WIDTH }, "bf16")
  -- Read x, write y; read what was kept and dy, write dx.
  both("rms_norm", { bytes = 8 * n, both = 14 * n }, { x }, function(a) return (ops.rms_norm(a, w, 1e-6, r)) end)
  both("rms_norm alone", { bytes = 4 * n, both = 10 * n }, { x, random({ WIDTH }, "bf16", true) },
    function(a, b) return (ops.rms_norm(a, b, 1e-6)) end)
  both("swiglu", { bytes = 6 * m, both = 16 * m },
    { random({ TOKENS, INNER }, "bf16", true), random({ TOKENS, INNER }, "bf16", true) }, ops.swiglu)
  both("gelu", { bytes = 4 * n, both = 10 * n }, { x }, ops.gelu)
  both("softmax", { bytes = 4 * n, both = 10 * n }, { x }, ops.softmax)
  both("dropout", { bytes = 4 * n, both = 8 * n }, { x }, function(a) return a:dropout(0.1, 1) end)
  row("add", { bytes = 6 * n }, plain(function() return x + r end))
  row("add bias", { bytes = 4 * n }, plain(function() return x + w end))
  row("convert to f32", { bytes = 6 * n }, plain(function() return x:to "f32" end))
  row("sum", { bytes = 2 * n }, plain(function() return x:sum() end))
  row("sum of columns", { bytes = 2 * n }, plain(function() return x:sum(1) end))
  row("randn", { bytes = 4 * n }, plain(function() return sq.randn({ TOKENS, WIDTH }, { device = CARD, seed = 1 }) end))
  local heads = TOKENS * (HEADS + GROUPS) * DIM
  local angles = sq.arange(0, TOKENS - 1, { dtype = "f32" }):reshape { TOKENS, 1 } * sq.ones { 1, DIM // 2 }
  local cosine, sine = angles:cos():to(CARD), angles:sin():to(CARD)
  local places = sq.arange(0, TOKENS - 1, { dtype = "i64" }):to(CARD)
  local q, k = random({ TOKENS, HEADS, DIM }, "bf16", true), random({ TOKENS, GROUPS, DIM }, "bf16", true)
  row("rope forward", { bytes = 4 * heads }, plain(function() ops.rope(q, k, places, cosine, sine) end))
  row("rope both", { bytes = 8 * heads }, function()
    local _inner <close> = sq.scope()
    local a, b = ops.rope(q, k, places, cosine, sine)
    a:backward(q:detach())
    b:close()
    q:zero_grad()
  end)
  local gates = random({ TOKENS, 24 }, "f32")
  row("topk 2 of 24", { bytes = TOKENS * (4 * 24 + 2 * 12) }, plain(function() ops.topk(gates, 2) end))
end

do -- optimiser
  local _s <close> = sq.scope()
  local n = TOKENS * WIDTH
  local p, g = random({ n }, "f32"), random({ n }, "f32")
  local a, b = sq.zeros({ n }, { device = CARD }), sq.zeros({ n }, { device = CARD })
  local o = { lr = 1e-5, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0, step = 1 }
  row("adamw f32", { bytes = 28 * n }, plain(function() ops.adamw_({ p }, { g }, { a }, { b }, nil, o) end))
  local narrow = p:to "bf16"
  row("adamw bf16", { bytes = 30 * n }, plain(function() ops.adamw_({ narrow }, { g }, { a }, { b }, { p }, o) end))
  local blocks, codes = { (n + 255) // 256 }, { dtype = "u8", device = CARD }
  local c, d = sq.full({ n }, 127, codes), sq.zeros({ n }, codes)
  local c_scale, d_scale = sq.zeros(blocks, { device = CARD }), sq.zeros(blocks, { device = CARD })
  row("adamw 8-bit", { bytes = 12 * n }, plain(function()
    local rounding = setmetatable({ seed = 1 }, { __index = o })
    ops.adamw8_({ narrow }, { g }, { c }, { d }, nil, { c_scale }, { d_scale }, rounding)
  end))
  row("global_norm f32", { bytes = 4 * n }, plain(function() ops.global_norm { g } end))
end

do -- vocabulary: embedding, the head with its loss, sampling
  local _s <close> = sq.scope()
  local weight, data = random({ VOCAB, WIDTH }, "bf16", true), shapes.batch(TOKENS, VOCAB)
  local ids, labelled = data.ids:to(CARD), data.labelled
  -- Backward clears the weight's gradient, f32 here, and adds into the rows that were taken.
  local n = TOKENS * WIDTH
  both("embedding", { bytes = 4 * n, both = 4 * VOCAB * WIDTH + 14 * n }, { weight },
    function(w) return ops.embedding(ids, w) end)
  both("head with loss, 5%", { flops = 2 * labelled * VOCAB * WIDTH },
    { random({ TOKENS, WIDTH }, "bf16", true), weight },
    function(x, w) return ops.linear_cross_entropy(x, w, data.targets) end)
  do -- f32 logits, as many rows as a chunk of the head's: read twice, the result written; the loss copies them first
    local count, labels = small and 8 or 220, {}
    for i = 1, count do labels[i] = i * 31 % VOCAB end
    local logits = random({ count, VOCAB }, "f32")
    labels = sq.tensor(labels, { dtype = "i64" })
    row("cross_entropy f32", { bytes = 20 * count * VOCAB }, plain(function() ops.cross_entropy(logits, labels) end))
    row("softmax of a vocabulary", { bytes = 12 * count * VOCAB }, plain(function() ops.softmax(logits) end))
  end
  local count = small and 3 or 64
  local logits = random({ count, VOCAB }, "f32")
  row("sample", { bytes = 4 * count * VOCAB },
    plain(function() ops.sample(logits, { temperature = 0.8, top_k = 50, top_p = 0.9, seed = 1 }) end))
end

for _, shape in ipairs { { WIDTH, WIDTH }, { WIDTH, INNER }, { INNER, WIDTH } } do
  local _s <close> = sq.scope()
  local k, n = shape[1], shape[2]
  both(("linear %dx%d"):format(k, n), { flops = 2 * TOKENS * k * n },
    { random({ TOKENS, k }, "bf16", true), random({ n, k }, "bf16", true) }, ops.linear)
end
do -- LoRA on a frozen weight: forward, dx and the adapter's gradients
  local _s <close> = sq.scope()
  local rank, w = 16, random({ INNER, WIDTH }, "bf16")
  local base, low = 2 * TOKENS * WIDTH * INNER, 2 * TOKENS * rank * (WIDTH + INNER)
  both(("lora_linear %dx%d"):format(WIDTH, INNER), { flops = base + low, both_flops = 2 * base + 3 * low }, {
    random({ TOKENS, WIDTH }, "bf16", true), random({ rank, WIDTH }, "f32", true), random({ INNER, rank }, "f32", true),
  }, function(x, a, b) return ops.lora_linear(x, w, nil, a, b, { scale = 2 }) end)
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

---Steps of one model: both lengths, without and with checkpointing.
local function train(name, way, lengths)
  local titles = {}
  for _, length in ipairs(lengths) do
    for _, checkpoint in ipairs { false, true } do
      local title = ("sft %s %s %d%s"):format(name, way, length, checkpoint and " checkpointing" or "")
      if wanted(title) then titles[#titles + 1] = { title, length, checkpoint } end
    end
  end
  if #titles == 0 then return end
  local _s <close> = sq.scope()
  local ok, run = pcall(function() return shapes.optimizer(shapes.model(name, way, CARD)) end)
  if not ok then
    io.stderr:write(("sft %s %s: %s\n"):format(name, way, run))
    return collectgarbage()
  end
  local c = run.model.shape
  local matrices = run.model:size() - c.vocabulary * c.hidden * (c.tied and 1 or 2)
  for _, entry in ipairs(titles) do
    local title, length, checkpoint = table.unpack(entry)
    local data, attention = shapes.batch(length, c.vocabulary), 2 * c.layers * length * length * c.heads * c.head_dim
    -- Forward and the gradients of the inputs; with full training those of the weights too. The head's product, of the
    -- labelled rows alone, is left out.
    row(title, { flops = (way == "lora" and 2 or 3) * (2 * matrices * length + attention) }, function()
      shapes.step(run, data, checkpoint)
    end)
  end
  shapes.close(run)
end

for _, name in ipairs(small and { "small" } or { "0.5B", "1.5B", "7B" }) do
  for _, way in ipairs(shapes.ways) do train(name, way, small and { 24 } or { 2048, 8192 }) end
end

local function decode(name, count)
  local title = ("decode %s %d"):format(name, count)
  if not wanted(title) then return end
  local _s <close> = sq.scope()
  local model = assert(sq.models.from_config(shapes.config(name), { dtype = "bf16", device = CARD }))
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
local function ms(r) return r and ("%.4f"):format(r.time * 1e3) or "-" end
local function bytes(r) return r and sq.term.bytes(math.floor(r.memory)) or "-" end
for i, name in ipairs(order) do
  local r, eager, compiled = rows[name], theirs[name], theirs[name .. " compiled"]
  local best = math.min(eager and eager.time or math.huge, compiled and compiled.time or math.huge)
  out[i] = { name, ms(r), ("%.0f%%"):format(100 * r.share), ms(eager), ms(compiled),
    best < math.huge and ("%.2f"):format(best / r.time) or "-", bytes(r), bytes(eager), bytes(compiled) }
end
markdown({ "what", "ms", "roofline", "PyTorch ms", "compiled ms", "times faster than the best", "peak", "PyTorch's",
  "compiled's" }, out)
