-- Stage 1 of the quickstart (recipes/sft.lua): a base learns from every token of the conversations. From random
-- weights, answers alone are too few to learn how to copy names and values; here each prompt asks its question twice.
return {
  mask = "all",
  epochs = 1.8,
  batch_tokens = 1600,
  max_length = 512,
  lr = 2e-3,
  warmup = 0.05,
  schedule = "cosine",
  beta2 = 0.99,
  weight_decay = 0.1,
  save_every = 0,
}
