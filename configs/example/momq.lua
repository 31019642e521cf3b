-- The example's base with experts for dialects (recipes/sft.lua, docs/momq.md): tiny, to see it run.
return {
  extends = "sft.lua",
  lr = 3e-3,
  weight_decay = 0,
  momq = {
    enabled = true,
    dialects = { "sqlite=0", "postgresql=1", "mysql=2" },
    num_experts = 6, num_experts_per_tok = 1, share_expert_num = 1, dialect_num = 3,
    lora_r = 8, lora_alpha = 16.0, lora_dropout = 0.0,
  },
}
