-- What gpu.lua and memory.lua train: Qwen2.5-Coder's shapes with random weights, one packed row, and how it is trained.
local sq = require "sqlune"

local M = {}

-- hidden, intermediate, layers, heads, key/value heads, vocabulary, tied head
local shapes <const> = {
  ["0.5B"] = { 896, 4864, 24, 14, 2, 151936, true }, ["1.5B"] = { 1536, 8960, 28, 12, 2, 151936, true },
  ["7B"] = { 3584, 18944, 28, 28, 4, 152064, false }, small = { 128, 48, 2, 2, 1, 320, true },
}

---@param name string
---@param layers? integer  instead of the shape's
---@return table config as in config.json
function M.config(name, layers)
  local s = shapes[name]
  return { model_type = "qwen2", hidden_size = s[1], intermediate_size = s[2], num_hidden_layers = layers or s[3],
    num_attention_heads = s[4], num_key_value_heads = s[5], vocab_size = s[6], tie_word_embeddings = s[7],
    rope_theta = 1e6 }
end

---One packed row of `length` tokens, the last twentieth labelled.
function M.batch(length, vocabulary)
  local ids, targets, labelled = {}, {}, 0
  for i = 1, length do
    ids[i] = i * 104729 % vocabulary
    targets[i] = i > 0.95 * length and i * 31 % vocabulary or -100
    if targets[i] ~= -100 then labelled = labelled + 1 end
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }),
    starts = { 0, length }, labelled = labelled, tokens = length }
end

---Ways to train bf16 weights, each with the peer's nearest. full: f32 copies and moments (PyTorch: f32 weights,
---autocast). bf16: no copies, stochastic rounding, 8-bit moments, bf16 gradients (all in bf16). lora: rank 16 on
---all linear layers, f32 adapters on a frozen base (PEFT, the same).
M.ways = { "full", "bf16", "lora" }

---@class bench.Run
---@field model sqlune.Model
---@field way "full"|"bf16"|"lora"
---@field names string[]        of what is trained
---@field parameters userdata[]
---@field optimizer? sqlune.optim.AdamW

---A model of this shape, and what is trained of it.
---@param name string
---@param way "full"|"bf16"|"lora"
---@param device string
---@param layers? integer  instead of the shape's
---@return bench.Run
function M.model(name, way, device, layers)
  local lora = way == "lora"
  local model = assert(sq.models.from_config(M.config(name, layers),
    { dtype = "bf16", device = device, train = not lora }))
  local trained = lora and assert(sq.lora.add(model, { r = 16, lora_alpha = 32, target_modules = "all-linear" },
    { train = true })) or model
  return { model = model, way = way, names = trained:names(), parameters = trained:parameters() }
end

---Gives the run its optimiser.
---@param run bench.Run
---@return bench.Run
function M.optimizer(run)
  run.optimizer = sq.optim.adamw(run.names, run.parameters,
    run.way == "bf16" and { states = "8bit", gradients = "bf16", stochastic_rounding = true } or {})
  return run
end

---Gives the memory of a run back.
---@param run bench.Run
function M.close(run)
  for _, list in ipairs { run.model:parameters(), run.parameters, run.optimizer:tensors() } do
    for _, x in pairs(list) do x:close() end
  end
end

---A step on one batch. `between`, if given, is called when the forward pass is over.
---@param run bench.Run
---@param data table
---@param checkpoint? boolean
---@param between? fun()
function M.step(run, data, checkpoint, between)
  do
    local _s <close> = sq.scope()
    local loss = run.model:loss_sum(data, { checkpoint = checkpoint }) / data.labelled
    if between then between() end
    loss:backward()
  end
  local _s <close> = sq.scope()
  local _, factor = sq.optim.clip_on_device(run.parameters, 1.0)
  run.optimizer:step(1e-5, factor)
end

return M
