-- Mistral-7B-Instruct: full fine-tuning, recipes/sft.lua. As for Qwen2.5-Coder-7B.
return { extends = "../qwen2.5-coder-7b/sft.lua" }
