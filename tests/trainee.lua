-- A small model that a test trains in its own process, whole or by an adapter.
local momq = require "sqlune.momq"
local sq = require "sqlune"
local t = require "tests.check"
local fs, models, optim = sq.fs, sq.models, sq.optim

local M = {}

local VOCABULARY <const> = 96

---Packed sequences of these lengths; two tokens in three are labelled.
local function batch_of(lengths)
  local ids, targets, starts, labelled, dialects = {}, {}, { 0 }, 0, {}
  for row, n in ipairs(lengths) do
    for i = 1, n do
      ids[#ids + 1] = (i * 7 + row * 13) % VOCABULARY
      local is_labelled = i % 3 > 0
      targets[#targets + 1] = is_labelled and (i * 11 + row) % VOCABULARY or -100
      labelled = labelled + (is_labelled and 1 or 0)
    end
    starts[row + 1], dialects[row] = #ids, row % 3
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    tokens = #ids, labelled = labelled, dialects = dialects }
end

local EXPERTS <const> = { num_experts = 6, num_experts_per_tok = 1, share_expert_num = 2, dialect_num = 3, lora_r = 8,
  lora_alpha = 16, enable_label_smooth = true, dialects = { sqlite = 0, postgresql = 1, mysql = 2 } }

---What of a model is trained: all of it, or "lora" or "momq".
local function trained_part(model, kind)
  if kind == "lora" then
    local settings = { r = 8, lora_alpha = 16, lora_dropout = 0.1, target_modules = "all-linear" }
    return t.ok(sq.lora.add(model, settings, { train = true, seed = 5 }))
  elseif kind == "momq" then
    local adapter = momq.attach(model, momq.config(EXPERTS), { seed = 5 })
    adapter:train()
    return adapter
  end
  return model
end

local Trainee = {}
Trainee.__index = Trainee

---@class tests.TraineeOpts
---@field device string
---@field dtype? string
---@field adapter? "lora"|"momq"
---@field states? string   of the optimiser
---@field config? table    what differs in the model's config

---@param o tests.TraineeOpts
function M.new(o)
  local config = { model_type = "qwen2", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 1,
    num_attention_heads = 4, num_key_value_heads = 2, vocab_size = VOCABULARY }
  for key, value in pairs(o.config or {}) do config[key] = value end
  local model = t.ok(models.from_config(config,
    { seed = 3, dtype = o.dtype, device = o.device, train = not o.adapter }))
  local part = trained_part(model, o.adapter)
  sq.manual_seed(7)
  return setmetatable({ model = model, part = part, parameters = part:parameters(), experts = o.adapter == "momq",
    optimizer = optim.adamw(part:names(), part:parameters(), { states = o.states }) }, Trainee)
end

---One step on sequences of these lengths. Returns its loss.
function Trainee:step(lengths)
  local _s <close> = sq.scope()
  local batch, at = batch_of(lengths), self.experts and momq.context()
  local loss = self.model:loss_sum(batch, { at = at }) / batch.labelled
  if self.experts then loss = loss + self.part:losses(at, batch, self.part:counts { batch }) end
  loss:backward()
  local _, factor = optim.clip_on_device(self.parameters, 1)
  self.optimizer:step(1e-3, factor)
  return loss:item()
end

---Digest of what is trained.
function Trainee:weights()
  local tensors, path = {}, t.tmpdir() .. "/weights.safetensors"
  for i, name in ipairs(self.part:names()) do tensors[name] = self.parameters[i] end
  t.ok(sq.safetensors.save(path, tensors))
  return t.ok(fs.sha256(path))
end

return M
