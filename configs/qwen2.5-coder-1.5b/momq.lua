-- Qwen2.5-Coder-1.5B-Instruct: MoMQ, experts for three dialects on a frozen model, recipes/sft.lua (docs/momq.md). As
-- for 7B, but for the rank.
return {
  extends = "../qwen2.5-coder-7b/momq.lua",
  momq = { lora_r = 64, lora_alpha = 128 },
}
