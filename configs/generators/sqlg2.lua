-- SQLG2 of XiYan-SQL (arXiv 2507.04701), Qwen2.5-Coder-32B-Instruct: multi-task, and hard questions with complex
-- writing patterns (sub-queries, CTEs). The paper states the data, not the settings: these are
-- configs/qwen2.5-coder-32b/sft.lua's.
return {
  data = "configs/generators/data/sqlg2.lua",
  dtype = "bf16",
  epochs = 5,
  batch_tokens = 10240,
  accumulation = 2,
  batching = "best_fit",
  max_length = 10240,
  lr = 1e-6,
  schedule = "cosine",
  warmup = 0.1,
  beta2 = 0.95,
  weight_decay = 0.1,
  states = "8bit",            -- memory: moments in a byte each, no f32 copy of the weights
  stochastic_rounding = true,
  save_every = 500,
  loss = { checkpointing = true },
}
