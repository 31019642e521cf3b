-- One LoRA step against PEFT in one run: forward, backward, clipping, AdamW; the base is frozen.
--
--   sqlune tests/bench/lora.lua [python of a virtual environment with torch, transformers and peft] [small]
--
-- Four layers of Qwen2.5-0.5B's width, 512 tokens in one row, 10% of them labelled, rank 16 on all linear layers (f32
-- adapters over bf16 too, as PEFT keeps them). Medians of 5 after one warm-up. `small`: a tenth of the width.
local sq = require "sqlune"

local python, small = arg[1] ~= "" and arg[1] or nil, arg[2] == "small"
local shape = small
    and { hidden_size = 128, intermediate_size = 288, num_attention_heads = 4, num_key_value_heads = 2,
      vocab_size = 1500 }
  or { hidden_size = 896, intermediate_size = 4864, num_attention_heads = 14, num_key_value_heads = 2,
    vocab_size = 32000 }
shape.model_type, shape.num_hidden_layers, shape.tie_word_embeddings = "qwen2", 4, true
local LENGTH <const> = 512

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function batch()
  local ids, targets = {}, {}
  for i = 1, LENGTH do
    ids[i] = (7919 + i * 104729) % shape.vocab_size
    targets[i] = i < LENGTH and i > LENGTH * 0.9 and (i * 31) % shape.vocab_size or -100
  end
  local function integers(list) return sq.tensor(list, { dtype = "i64" }) end
  return { ids = integers(ids), targets = integers(targets), starts = { 0, LENGTH }, labelled = LENGTH // 10 }
end

local function step_seconds(dtype, settings)
  collectgarbage()
  local _s <close> = sq.scope()
  local model = assert(sq.models.from_config(shape, { dtype = dtype }))
  settings.r, settings.lora_alpha, settings.target_modules = 16, 32, "all-linear"
  local adapter = assert(sq.lora.add(model, settings, { train = true }))
  local parameters = adapter:parameters()
  local optimizer = sq.optim.adamw(adapter:names(), parameters, {})
  local data, times = batch(), {}
  sq.tensor_memory(true)
  for n = 1, 6 do
    local started = sq.sys.clock()
    do
      local _inner <close> = sq.scope()
      local loss = model:loss_sum(data) / data.labelled
      loss:backward()
    end
    local _, factor = sq.optim.clip(parameters, 1.0)
    optimizer:step(1e-4, factor)
    times[n] = sq.sys.clock() - started
  end
  table.remove(times, 1)
  return median(times), sq.tensor_memory(true).peak_bytes
end

local function peer(dtype, dora)
  if not python then return nil end
  local home = debug.getinfo(1, "S").source:sub(2):match "^(.*/)" or "./"
  local command = ("'%s' '%slora_peer.py' %s %s %s"):format(python, home, dtype, dora and "dora" or "plain",
    small and "small" or "large")
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return tonumber(text:match "(%S+)%s*$")
end

local out = {}
for _, dtype in ipairs { "f32", "bf16" } do
  for _, dora in ipairs { false, true } do
    local seconds, memory = step_seconds(dtype, { use_dora = dora })
    local theirs = peer(dtype, dora)
    out[#out + 1] = { (dora and "DoRA" or "LoRA") .. " step " .. dtype, ("%.3f s"):format(seconds),
      theirs and ("%.3f s"):format(theirs) or "-", theirs and ("%.2f"):format(theirs / seconds) or "-",
      sq.term.bytes(memory) }
  end
end
print(sq.term.table { columns = { "what", "sqlune", "PEFT", "times faster", "peak" }, rows = out })
