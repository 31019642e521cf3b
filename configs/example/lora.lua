-- The example's base with an adapter instead of full fine-tuning (recipes/sft.lua).
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
  lora = { rank = 8, alpha = 16 },
}
