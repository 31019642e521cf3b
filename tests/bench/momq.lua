-- A MoMQ layer in front of down_proj of Qwen2.5-0.5B, forward and backward, beside the original's loop over experts in
-- PyTorch; then time and memory against the number of experts. Milliseconds of processor time of all threads, medians,
-- which other work disturbs less than wall time. Set OMP_WAIT_POLICY=passive, or waiting counts.
--
--   sqlune tests/bench/momq.lua [PYTHON]: PYTHON has torch and runs momq_peer.py.
local layers = require "sqlune.momq.layer"
local momq = require "sqlune.momq"
local sq = require "sqlune"

local python = arg[1]
local TOKENS <const>, MANY <const>, INPUTS <const>, OUTPUTS <const> = 1024, 2048, 4864, 896
local RUNS <const> = 7

local function layer_of(settings, dtype)
  local c = momq.config(settings)
  local linear = { name = "down_proj", weight = sq.randn({ OUTPUTS, INPUTS }, { seed = 1 }):affine(0.02):to(dtype) }
  local stream = 0
  local layer = layers.new(linear, c, c.num_experts, function()
    stream = stream + 1
    return stream
  end, 1)
  for _, x in pairs(layer.tensors) do x.requires_grad = true end
  return layer
end

---Median of milliseconds of a step, and the most that its tensors took beside the layer's own and their gradients.
local function measure(layer, dtype, tokens)
  local x = sq.randn({ tokens, INPUTS }, { seed = 2 }):to(dtype):detach()
  local dy = sq.randn({ tokens, OUTPUTS }, { seed = 3 }):to(dtype):detach()
  x.requires_grad = true
  local function step()
    local _s <close> = sq.scope()
    layer:run(x, { training = true }):backward(dy)
    x:zero_grad()
    for _, p in pairs(layer.tensors) do p:zero_grad() end
  end
  step()
  collectgarbage()
  collectgarbage()
  local before = sq.tensor_memory(true).live_bytes
  local times = {}
  for i = 1, RUNS do
    local t = os.clock()
    step()
    times[i] = (os.clock() - t) * 1e3
  end
  local peak = sq.tensor_memory().peak_bytes - before
  table.sort(times)
  return times[(RUNS + 1) // 2], peak / 2 ^ 20
end

local function script(rank)
  return { momq_mode = "compat", num_experts = 24, num_experts_per_tok = 2, share_expert_num = 2, dialect_num = 3,
    lora_r = rank, lora_alpha = 2 * rank, lora_dropout = 0 }
end

local peer = {}
if python then
  local command = ("%s tests/bench/momq_peer.py %d %d %d %d"):format(python, TOKENS, INPUTS, OUTPUTS, RUNS)
  local run = assert(io.popen(command))
  for line in run:lines() do
    local what, ms = line:match "^(.-)\t(.+)$"
    if what then peer[what] = tonumber(ms) end
  end
  run:close()
end
local head = "%d tokens, %d -> %d, 24 experts, top 2, 2 shared, 3 dialects; ms of forward and backward"
print(head:format(TOKENS, INPUTS, OUTPUTS))
print(("%-14s %10s %12s %8s"):format("", "sqlune", "torch loop", "ratio"))
for _, dtype in ipairs { "f32", "bf16" } do
  for _, rank in ipairs { 16, 128 } do
    local _s <close> = sq.scope()
    local name = ("%s, rank %d"):format(dtype, rank)
    local mine, other = measure(layer_of(script(rank), dtype), dtype, TOKENS), peer[name]
    print(("%-14s %10.1f %12s %8s"):format(name, mine, other and ("%.1f"):format(other) or "-",
      other and ("%.2f"):format(other / mine) or "-"))
  end
end

print(("\nagainst the number of experts: paper mode, %d tokens, f32, rank 16, top 1 of 1 group"):format(MANY))
print(("%-10s %10s %16s"):format("experts", "ms", "MiB beside them"))
for _, experts in ipairs { 1, 2, 4, 8, 16, 32, 64 } do -- 1: plain LoRA, without routers and shared experts
  local _s <close> = sq.scope()
  local ms, mib = measure(layer_of({ num_experts = experts, num_experts_per_tok = 1, share_expert_num = 2,
    dialect_num = 1, lora_r = 16, lora_alpha = 32, lora_dropout = 0 }, "f32"), "f32", MANY)
  print(("%-10d %10.1f %16.1f"):format(experts, ms, mib))
end
