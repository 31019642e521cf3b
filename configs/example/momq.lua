-- The example's base with experts for dialects (recipes/sft.lua, docs/momq.md): tiny, to see it run.
return {
  mask = "answers",
  epochs = 1.2,
  batch_tokens = 1600,
  max_length = 512,
  lr = 3e-3,
  warmup = 0.05,
  schedule = "cosine",
  beta2 = 0.99,
  weight_decay = 0,
  save_every = 0,
  momq = {
    enabled = true,
    dialects = { "sqlite=0", "postgresql=1", "mysql=2" },
    num_experts = 6, num_experts_per_tok = 1, share_expert_num = 1, dialect_num = 3,
    lora_r = 8, lora_alpha = 16.0, lora_dropout = 0.0,
  },
}
