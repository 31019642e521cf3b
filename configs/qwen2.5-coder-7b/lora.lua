-- Qwen2.5-Coder-7B-Instruct: a LoRA adapter on every linear layer but the head, recipes/sft.lua. Rank and alpha as
-- the original's script has them.
return {
  extends = "sft.lua",
  lr = 2e-5,
  weight_decay = 0,
  lora = { rank = 512, alpha = 512, dropout = 0.05 },
}
