-- Qwen2.5-Coder-3B-Instruct: a LoRA adapter on every linear layer but the head, recipes/sft.lua. As for 7B, but for
-- rank and rate, which are our choice.
return {
  extends = "../qwen2.5-coder-7b/lora.lua",
  lr = 5e-5,
  lora = { rank = 256, alpha = 256 },
}
