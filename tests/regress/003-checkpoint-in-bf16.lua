-- Checkpointed layers in bf16: a layer's input is a leaf inside, whose gradient is f32, and was handed on as it was.
local sq = require "sqlune"
local t = require "tests.check"

return {
  ["three layers, every gradient as without checkpoints"] = function()
    local _s <close> = sq.scope()
    local config = { model_type = "qwen2", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 3,
      num_attention_heads = 4, num_key_value_heads = 2, vocab_size = 40, tie_word_embeddings = true }
    local ids = {}
    for i = 1, 24 do ids[i] = i * 7 % 40 end
    local function gradients(checkpoint)
      local model = t.ok(sq.models.from_config(config, { train = true, dtype = "bf16", seed = 2 }))
      local tokens = sq.tensor(ids, { dtype = "i64" })
      model:loss_sum({ ids = tokens, targets = tokens, starts = { 0, 9, 24 } }, { checkpoint = checkpoint }):backward()
      local found = {}
      for name, p in pairs(model.parts.by_name) do found[name] = p.grad:totable() end
      return found
    end
    t.eq(gradients(true), gradients(false))
  end,
}
