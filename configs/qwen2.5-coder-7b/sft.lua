-- Qwen2.5-Coder-7B-Instruct: full fine-tuning, recipes/sft.lua. The values are those of the original's script: 16
-- samples a step, which two packed batches come near to. It asks for cosine, but its DeepSpeed runs WarmupLR:
-- schedule = "warmup_log".
return {
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
  save_every = 500,
  loss = { checkpointing = true },
}
