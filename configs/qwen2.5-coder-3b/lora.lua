-- Qwen2.5-Coder-3B-Instruct: a LoRA adapter on every linear layer but the head, recipes/sft.lua. Rank and rate are
-- our choice.
return {
  dtype = "bf16",
  epochs = 5,
  batch_tokens = 10240,
  accumulation = 2,
  batching = "best_fit",
  max_length = 10240,
  lr = 5e-5,
  schedule = "cosine",
  warmup = 0.1,
  beta2 = 0.95,
  weight_decay = 0,
  save_every = 500,
  loss = { checkpointing = true },
  lora = { rank = 256, alpha = 256, dropout = 0.05 },
}
