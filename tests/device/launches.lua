-- Kernel launches of a transformer layer: what a model of three layers asks of the card more than one of two. The
-- limits are what is reached now (docs/performance.md): a launch more is a launch a layer in every step.
local sq = require "sqlune"
local t = require "tests.check"

local CARD <const>, TOKENS <const> = "cuda:0", 24
local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

local function model_of(layers, train)
  return assert(sq.models.from_config({ model_type = "qwen2", hidden_size = 128, intermediate_size = 256,
    num_hidden_layers = layers, num_attention_heads = 2, num_key_value_heads = 1, vocab_size = 64,
    tie_word_embeddings = true, max_position_embeddings = 64 }, { dtype = "bf16", device = CARD, train = train }))
end

---What fn asked of the cards.
local function counted(fn)
  local before = sq.device_counts()
  local result = fn()
  local counts = sq.device_counts()
  for name, n in pairs(counts) do counts[name] = n - before[name] end
  return counts, result
end

---Counts of the third step's forward and backward: gradients and what is kept on the card are there by then.
local function step_of(model, parameters)
  local ids, targets = {}, {}
  for i = 1, TOKENS do ids[i], targets[i] = i * 7 % 64, i * 5 % 64 end
  local forward, backward
  for _ = 1, 3 do
    local _s <close> = sq.scope()
    local data = { ids = integers(ids), targets = integers(targets), starts = { 0, TOKENS }, labelled = TOKENS }
    local loss
    forward, loss = counted(function() return model:loss_sum(data) / TOKENS end)
    backward = counted(function() loss:backward() end)
    for _, p in ipairs(parameters) do p:zero_grad() end
  end
  return forward, backward
end

local function training(layers, lora)
  local _s <close> = sq.scope()
  local model = model_of(layers, not lora)
  local options = { r = 4, lora_alpha = 8, target_modules = "all-linear", lora_dropout = lora }
  return step_of(model, (lora and assert(sq.lora.add(model, options, { train = true })) or model):parameters())
end

---Counts of one token more behind a prompt.
local function decoding(layers)
  local _s <close> = sq.scope()
  local model = model_of(layers)
  local cache <close> = model:cache(1, TOKENS)
  return sq.no_grad(function()
    model:hidden(integers { 1, 2, 3 }, cache:extend({ 1 }, { 3 }))
    local at = cache:extend({ 1 }, { 1 })
    return counted(function() model:hidden(integers { 4 }, at) end)
  end)
end

---The layer's share of each count, at most what is given; nothing is waited for.
local function most(what, limits, run)
  local two, three = { run(2) }, { run(3) }
  for i, limit in ipairs(limits) do
    local where = ("%s, %s"):format(what, i == 1 and "forward" or "backward")
    local launches = three[i].launches - two[i].launches
    t.ok(launches > 0 and launches <= limit, ("%s: %d launches a layer, not %d"):format(where, launches, limit))
    t.eq(three[i].zeros - two[i].zeros, 0, where .. ": zeros")
    t.eq(three[i].waits, 0, where .. ": waits")
  end
end

return t.with_card {
  ["training"] = function() most("training", { 12, 26 }, training) end,
  ["LoRA on all linear layers"] = function()
    most("LoRA", { 26, 35 }, function(layers) return training(layers, 0) end)
  end,
  ["LoRA with dropout"] = function()
    most("LoRA with dropout", { 26, 35 }, function(layers) return training(layers, 0.1) end)
  end,
  ["a token behind a prompt"] = function() most("decoding", { 14 }, decoding) end,
}
