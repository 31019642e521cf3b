-- Qwen2.5-Coder-0.5B-Instruct: full fine-tuning, recipes/sft.lua. As for 7B, but for the rate, which is our choice.
return {
  extends = "../qwen2.5-coder-7b/sft.lua",
  lr = 1e-5,
}
