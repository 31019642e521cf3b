-- One SFT step and decoding of Qwen2.5-0.5B's shape with random weights, against PyTorch with transformers in one run.
--
--   sqlune tests/bench/sft.lua [python of a virtual environment with torch and transformers] [small]
--
-- A step is forward, backward, clipping and AdamW on one row of 512 tokens; labels on all positions or on 5% of them.
-- Medians of 5 after one warm-up. `small`: the quickstart's model (0.67 M parameters, 8 rows of 200 tokens).
local sq = require "sqlune"

local python, small = arg[1] ~= "" and arg[1] or nil, arg[2] == "small"
local shape = small
    and { hidden_size = 128, intermediate_size = 288, num_hidden_layers = 3, num_attention_heads = 4,
      num_key_value_heads = 2, vocab_size = 1500, rope_theta = 1e4 }
  or { hidden_size = 896, intermediate_size = 4864, num_hidden_layers = 24, num_attention_heads = 14,
    num_key_value_heads = 2, vocab_size = 151936, rope_theta = 1e6 }
shape.model_type, shape.tie_word_embeddings = "qwen2", true
local rows, length = small and 8 or 1, small and 200 or 512

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function batch(share)
  local ids, targets, starts, labelled = {}, {}, { 0 }, 0
  for row = 1, rows do
    for i = 1, length do
      ids[#ids + 1] = (row * 7919 + i * 104729) % shape.vocab_size
      local target = i < length and i > length * (1 - share) and (i * 31) % shape.vocab_size or -100
      if target ~= -100 then labelled = labelled + 1 end
      targets[#ids] = target
    end
    starts[row + 1] = #ids
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    labelled = labelled }
end

local function step_seconds(dtype, share)
  collectgarbage()
  local _s <close> = sq.scope()
  local model = assert(sq.models.from_config(shape, { dtype = dtype, train = true }))
  local parameters = model:parameters()
  local optimizer = sq.optim.adamw(model:names(), parameters, {})
  local data, times = batch(share), {}
  for n = 1, 6 do
    local started = sq.sys.clock()
    do
      local _inner <close> = sq.scope()
      local loss = model:loss_sum(data) / data.labelled
      loss:backward()
    end
    local _, factor = sq.optim.clip(parameters, 1.0)
    optimizer:step(1e-5, factor)
    times[n] = sq.sys.clock() - started
  end
  table.remove(times, 1)
  local memory = sq.tensor_memory(true).peak_bytes
  return median(times), memory
end

local function decode_rate(dtype)
  local _s <close> = sq.scope()
  local model = assert(sq.models.from_config(shape, { dtype = dtype }))
  local times, last = {}, nil
  model:generate({ 1, 2, 3, 4 }, { max_tokens = 26, on_token = function()
    local now = sq.sys.clock()
    if last then times[#times + 1] = now - last end
    last = now
  end })
  return 1 / median(times), model:size()
end

local function peer(dtype, share)
  if not python then return nil end
  local home = debug.getinfo(1, "S").source:sub(2):match "^(.*/)" or "./"
  local command = ("'%s' '%ssft_peer.py' %s %g %s"):format(python, home, dtype, share, small and "small" or "large")
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  local seconds, rate = text:match "^(%S+) (%S+)"
  return tonumber(seconds), tonumber(rate)
end

local out = {}
for _, dtype in ipairs { "f32", "bf16" } do
  for _, share in ipairs { 1, 0.05 } do
    local seconds, memory = step_seconds(dtype, share)
    local theirs = peer(dtype, share)
    out[#out + 1] = { "SFT step " .. dtype, ("%d%%"):format(share * 100), ("%.3f s"):format(seconds),
      theirs and ("%.3f s"):format(theirs) or "-", theirs and ("%.2f"):format(theirs / seconds) or "-",
      sq.term.bytes(memory) }
  end
end
local rate, size = decode_rate "bf16"
local _, theirs = peer("bf16", 0)
out[#out + 1] = { "decode bf16", "-", ("%.1f tok/s"):format(rate), theirs and ("%.1f tok/s"):format(theirs) or "-",
  theirs and ("%.2f"):format(rate / theirs) or "-", ("%.1f GB/s"):format(rate * size * 2 / 1e9) }
print(sq.term.table { columns = { "what", "labels", "sqlune", "PyTorch", "times faster", "peak" }, rows = out })
