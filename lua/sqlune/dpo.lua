-- Direct preference optimisation: a policy learns to prefer one answer to another, measured against a reference model.
local sq = require "sqlune"
local config = require "sqlune.config"
local ops = sq.ops

local M = {}

---Settings of a recipe, as the group `dpo`.
M.options = {
  beta = config.number("how strongly the policy is held at the reference", 0.1, { min = 1e-6 }),
  smoothing = config.number("share of the pairs taken to be the wrong way round", 0.0, { min = 0, max = 0.49 }),
  nll = config.number("weight of the chosen answer's own loss, a token's mean: against forgetting", 0.0, { min = 0 }),
  reference = config.one_of({ "base", "start" }, "the model without its adapter, or as it was when training began",
    "base"),
}

---Log-probability of the labelled tokens of each sequence of a batch, [sequences].
---@param model sqlune.Model
---@param batch {ids: userdata, targets: userdata, starts: integer[]}
---@param checkpoint? boolean  layers keep no activations
---@return userdata
function M.log_probabilities(model, batch, checkpoint)
  local at, list = sq.models.packed(batch.starts), {}
  at.training = sq.grad_enabled()
  at.checkpoint = checkpoint and at.training and sq.checkpoint or nil
  local hidden = model:hidden(batch.ids, at)
  for n = 1, #batch.starts - 1 do
    local first, count = batch.starts[n] + 1, batch.starts[n + 1] - batch.starts[n]
    local rows, targets = hidden:narrow(1, first, count), batch.targets:narrow(1, first, count)
    local loss
    if model.output.adapter then
      loss = ops.cross_entropy(model:logits(rows, at), targets)
    else
      loss = ops.linear_cross_entropy(rows, model.output.weight, targets)
    end
    list[n] = -loss:reshape { 1 }
  end
  return ops.cat(list, 1)
end

---What the policy is compared with: fn() under the reference's adapter, off the tape; the policy's is back afterwards.
---@param model sqlune.Model
---@param which string|false  adapter of the reference, false: the base alone
---@return fun(fn: fun(): userdata): userdata
function M.reference(model, which)
  return function(fn)
    local policy = {}
    for _, entry in ipairs(model.active or {}) do policy[entry[3]] = entry[2] end
    model:adapter(which)
    local ok, result = pcall(sq.no_grad, fn)
    model:adapter(policy)
    if not ok then error(result, 0) end
    return result
  end
end

---@class sqlune.dpo.Result
---@field margins userdata   beta ((policy - reference) of the chosen answer - that of the rejected one), of each pair
---@field chosen userdata    beta (policy - reference) of the chosen answers
---@field rejected userdata

---Sum over a batch's pairs of -log sigmoid(margin); with smoothing e (1 - e) of it and e of the pair turned round; with
---nll so much of the chosen answer's negative log-probability, divided by its tokens.
---@param policy userdata     log-probabilities [2 pairs]: chosen, rejected, chosen, rejected …
---@param reference userdata  the reference's, off the tape
---@param o {beta: number, smoothing?: number, nll?: number}
---@param lengths? integer[]  labelled tokens of each sequence, for nll
---@return userdata loss
---@return sqlune.dpo.Result
function M.loss(policy, reference, o, lengths)
  local rewards = ((policy - reference) * o.beta):reshape { -1, 2 }
  local chosen, rejected = rewards:select(2, 1), rewards:select(2, 2)
  local margin = (chosen - rejected):reshape { -1, 1 }
  -- log sigmoid(m) and log sigmoid(-m) without overflow: the log-softmax of (m, 0)
  local logs, e = ops.log_softmax(ops.cat({ margin, margin * 0 }, 2)), o.smoothing or 0
  local loss = -(logs:select(2, 1):sum() * (1 - e))
  if e > 0 then loss = loss - logs:select(2, 2):sum() * e end
  if (o.nll or 0) > 0 then
    local weights = {}
    for n, length in ipairs(lengths) do weights[n] = n % 2 == 1 and o.nll / math.max(length, 1) or 0 end
    loss = loss - (policy * sq.tensor(weights, { dtype = policy.dtype, device = policy.device })):sum()
  end
  return loss, { margins = margin:reshape { -1 }:detach(), chosen = chosen:detach(), rejected = rejected:detach() }
end

---Labelled tokens of each sequence of a batch.
local function lengths_of(batch)
  local targets, list = batch.targets:totable(), {}
  for n = 1, #batch.starts - 1 do
    list[n] = 0
    for i = batch.starts[n] + 1, batch.starts[n + 1] do
      if targets[i] ~= -100 then list[n] = list[n] + 1 end
    end
  end
  return list
end

---The loss of a batch of pairs, a sum over them.
---@param model sqlune.Model
---@param batch sqlune.data.PairBatch
---@param reference fun(fn: fun(): userdata): userdata  of reference()
---@param o {beta: number, smoothing?: number, nll?: number, checkpoint?: boolean}
---@return userdata loss
---@return sqlune.dpo.Result
function M.batch_loss(model, batch, reference, o)
  local theirs = reference(function() return M.log_probabilities(model, batch) end)
  return M.loss(M.log_probabilities(model, batch, o.checkpoint), theirs, o, (o.nll or 0) > 0 and lengths_of(batch))
end

---The means of a step over its pairs, for its log: { margin, accuracy, chosen, rejected } as functions, which wait for
---the results that add() was given.
---@param count integer  pairs of the whole step
---@return fun(result: sqlune.dpo.Result) add
---@return table<string, fun(): number> entry
function M.watch(count)
  local results, sums = {}, nil
  local function read()
    sums = { margin = 0, accuracy = 0, chosen = 0, rejected = 0 }
    for _, result in ipairs(results) do
      local list = {}
      for key, fetched in pairs(result) do
        list[key] = fetched:wait():totable()
        fetched:close()
      end
      for i, margin in ipairs(list.margins) do
        sums.margin, sums.accuracy = sums.margin + margin / count, sums.accuracy + (margin > 0 and 1 or 0) / count
        sums.chosen = sums.chosen + list.chosen[i] / count
        sums.rejected = sums.rejected + list.rejected[i] / count
      end
    end
    return sums
  end
  local entry = {}
  for _, key in ipairs { "margin", "accuracy", "chosen", "rejected" } do
    entry[key] = function() return (sums or read())[key] end
  end
  return function(result)
    local fetched = {}
    for key, x in pairs(result) do fetched[key] = x:fetch() end
    results[#results + 1] = fetched
  end, entry
end

return M
