-- Stage 2 of the quickstart (recipes/sft.lua): fine-tuning; only the answers count.
return {
  mask = "answers",
  epochs = 1.2,
  batch_tokens = 1600,
  max_length = 512,
  lr = 6e-4,
  warmup = 0.05,
  schedule = "cosine",
  beta2 = 0.99,
  weight_decay = 0.1,
  save_every = 0,
}
