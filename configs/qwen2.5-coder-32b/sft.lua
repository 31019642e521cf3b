-- Qwen2.5-Coder-32B-Instruct: full fine-tuning, recipes/sft.lua. As for 7B, with less memory.
return {
  extends = "../qwen2.5-coder-7b/sft.lua",
  states = "8bit",            -- moments in a byte each, no f32 copy of the weights
  stochastic_rounding = true,
}
