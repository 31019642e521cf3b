-- What a step makes small: the loss of a batch with its extra terms, noise on the embeddings, checkpointed layers.
local sq = require "sqlune"
local config = sq.config
local batches = require "sqlune.data.batches"
local momq = require "sqlune.momq"
local random = require "sqlune.random"

local M = {}

---Settings of a recipe, as the group `loss`.
M.options = {
  smoothing = config.number("label smoothing: this share of the target is spread over all tokens", 0.0,
    { min = 0, max = 0.99 }),
  z_loss = config.number("weight of log(sum of exp(logits))^2", 0.0, { min = 0 }),
  neftune = config.number("noise on the embeddings, alpha / sqrt(length x width); 0: none", 0.0, { min = 0 }),
  checkpointing = config.boolean "layers keep no activations: backward makes them again",
}

---Uniform noise in ±alpha / sqrt(L C) on each sample's embeddings, L its length, C their width (NEFTune). Its numbers
---belong to (seed, step, batch), so a resumed run sees the same.
local function noise(alpha, seed, starts, step, place)
  return function(x)
    local lengths = {}
    for n = 1, #starts - 1 do
      local length = starts[n + 1] - starts[n]
      for i = starts[n] + 1, starts[n + 1] do lengths[i] = { 2 * alpha / math.sqrt(length * x:size(2)) } end
    end
    local stream = random.name("neftune", step, place)
    local u = sq.rand(x.shape, { seed = seed, stream = stream, offset = 0, device = x.device })
    return x + ((u - 0.5) * sq.tensor(lengths, { device = x.device })):to(x.dtype)
  end
end

---The loss of a batch as one number on the tape: a sum, to be divided by the labels of the whole step.
---@param model sqlune.Model
---@param cfg {seed: integer, loss: table}
---@return fun(batch: sqlune.data.Batch, step: integer, place: integer, micro: sqlune.data.Batch[]): userdata
function M.of(model, cfg)
  local o = cfg.loss
  return function(batch, step, place, micro)
    local experts = model.momq
    local at = experts and momq.context()
    local sum = model:loss_sum(batch, {
      smoothing = o.smoothing, z_loss = o.z_loss, checkpoint = o.checkpointing,
      embedded = o.neftune > 0 and noise(o.neftune, cfg.seed, batch.starts, step, place) or nil, at = at,
    })
    if not experts then return sum end
    return sum + experts:losses(at, batch, experts:counts(micro)) * batches.labelled(micro)
  end
end

return M
