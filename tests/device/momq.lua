-- A training step with experts on a card: the host waits for nothing, however many layers route.
local momq = require "sqlune.momq"
local sq = require "sqlune"
local t = require "tests.check"
local models, optim = sq.models, sq.optim

local function batch()
  local ids, targets = {}, {}
  for i = 1, 24 do ids[i], targets[i] = i, i % 12 > 4 and i + 1 or -100 end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }),
    starts = { 0, 12, 24 }, tokens = 24, labelled = 14, dialects = { 0, 2 } }
end

---What three steps asked of the card, the first left out; their log.
local function counts(layers, more, checkpoint)
  local _s <close> = sq.scope()
  local model = assert(models.from_config({ model_type = "qwen2", hidden_size = 16, intermediate_size = 24,
    num_hidden_layers = layers, num_attention_heads = 4, num_key_value_heads = 2, vocab_size = 40 },
    { seed = 3, device = "cuda:0" }))
  local settings = { num_experts = 6, num_experts_per_tok = 1, share_expert_num = 2, dialect_num = 3, lora_r = 2,
    lora_alpha = 4, enable_label_smooth = true, dialects = { sqlite = 0, postgresql = 1, mysql = 2 } }
  for key, value in pairs(more) do settings[key] = value end
  local adapter = momq.attach(model, momq.config(settings), { seed = 5 })
  adapter:train()
  local parameters = adapter:parameters()
  local optimizer = optim.adamw(adapter:names(), parameters, { lr = 1e-3 })
  local before
  for step = 1, 4 do
    local s <close> = sq.scope()
    if step == 2 then before = sq.device_counts() end
    local one, at = batch(), momq.context()
    local loss = model:loss_sum(one, { at = at, checkpoint = checkpoint }) / 14
    loss = loss + adapter:losses(at, one, adapter:counts { one })
    loss:backward()
    local _, factor = optim.clip_on_device(parameters, 1)
    optimizer:step(1e-3, factor)
  end
  local after, spent = sq.device_counts(), {}
  for key, value in pairs(after) do spent[key] = value - before[key] end
  return spent, adapter:log(true)
end

local modes = {
  soft = {}, hard = { hard_dialect_router = true, norm_topk_prob = true },
  compat = { momq_mode = "compat", num_experts_per_tok = 2 },
  ["compat, hard"] = { momq_mode = "compat", hard_dialect_router = true },
}

return t.with_card {
  ["a training step waits for nothing"] = function()
    for name, more in pairs(modes) do
      for _, layers in ipairs { 1, 3 } do
        for _, checkpoint in ipairs { false, true } do
          local what = ("%s, %d layers%s"):format(name, layers, checkpoint and ", checkpointed" or "")
          local spent, log = counts(layers, more, checkpoint)
          t.eq(spent.waits, 0, what)
          local router = log.router()
          t.eq(#router.load_by_layer, layers)
          t.ok(log.dialect_loss:item() > 0 and log.balance_loss:item() > 0 and router.own_group, what)
        end
      end
    end
  end,
}
