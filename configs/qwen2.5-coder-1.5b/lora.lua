-- Qwen2.5-Coder-1.5B-Instruct: a LoRA adapter on every linear layer but the head, recipes/sft.lua. As for 7B, but for
-- rank and rate, which are our choice.
return {
  extends = "../qwen2.5-coder-7b/lora.lua",
  lr = 0.0001,
  lora = { rank = 128, alpha = 128 },
}
