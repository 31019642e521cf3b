-- The example's base with an adapter instead of full fine-tuning (recipes/sft.lua).
return {
  extends = "sft.lua",
  lr = 3e-3,
  weight_decay = 0,
  lora = { rank = 8, alpha = 16 },
}
