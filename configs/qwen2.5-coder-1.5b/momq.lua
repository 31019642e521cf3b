-- Qwen2.5-Coder-1.5B-Instruct: MoMQ, experts for three dialects on a frozen model, recipes/sft.lua (docs/momq.md). As
-- the original's script for 7B, but for the rank.
return {
  dtype = "bf16",
  epochs = 5,
  batch_tokens = 8192,
  accumulation = 1,
  max_length = 8192,
  lr = 1e-5,
  schedule = "cosine",
  warmup = 0.1,
  beta2 = 0.95,
  weight_decay = 0.1,
  save_every = 500,
  momq = {
    enabled = true,
    dialects = { "postgresql=0", "mysql=1", "sqlite=2" },
    num_experts = 24, num_experts_per_tok = 2, share_expert_num = 2, dialect_num = 3,
    lora_r = 64, lora_alpha = 128, lora_dropout = 0.05,
    router_aux_loss_coef = 0.001, dialect_router_loss_coef = 0.01,
  },
}
