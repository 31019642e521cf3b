-- A training process grew by 1 MB a step: blocks of ever new sizes left holes in the heap, and explicit steps of the
-- generational collector kept the major one from coming. What the system holds must stay flat.
local sq = require "sqlune"
local t = require "tests.check"

local function resident_mib()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "VmRSS:%s+(%d+)"
    if kib then return tonumber(kib) / 1024 end
  end
end

return {
  ["steps of ever new shapes hold no more memory"] = function()
    if os.getenv "SQLUNE_SANITIZED" then t.skip "sanitizers keep freed memory" end
    local _s <close> = sq.scope()
    local model = assert(sq.models.from_config({
      model_type = "qwen2", hidden_size = 128, intermediate_size = 288, num_hidden_layers = 3, num_attention_heads = 4,
      num_key_value_heads = 2, vocab_size = 1500, tie_word_embeddings = true,
    }, { train = true }))
    local parameters = model:parameters()
    local optimizer = sq.optim.adamw(model:names(), parameters, {})
    local samples, random = {}, sq.random.stream(1)
    for i = 1, 900 do
      local ids = {}
      for k = 1, 100 + random:integer(150) do ids[k] = random:integer(1, 499) end
      samples[i] = { ids = ids, labels = ids, labelled = #ids - 1 }
    end
    local data = sq.data.batches.of(samples, { batch_tokens = 1600, accumulation = 1, seed = 1, epochs = 2 })
    local function step(n)
      for _, batch in ipairs(data:at(n)) do
        local _inner <close> = sq.scope()
        local loss = model:loss_sum(batch) / batch.labelled
        loss:backward()
      end
      local _, factor = sq.optim.clip(parameters, 1.0)
      optimizer:step(1e-4, factor)
    end
    sq.tensor_memory(true) -- the cache of blocks may grow to the peak: to this model's, not an earlier test's
    for n = 1, 40 do step(n) end
    local before = resident_mib()
    for n = 41, 120 do step(n) end
    local grown = resident_mib() - before
    t.ok(grown < 15, ("80 steps took %.0f MiB more"):format(grown))
  end,
}
