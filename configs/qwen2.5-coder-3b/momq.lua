-- Qwen2.5-Coder-3B-Instruct: MoMQ, experts for three dialects on a frozen model, recipes/sft.lua (docs/momq.md). As
-- for 7B.
return { extends = "../qwen2.5-coder-7b/momq.lua" }
