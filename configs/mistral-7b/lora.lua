-- Mistral-7B-Instruct: a LoRA adapter on every linear layer but the head, recipes/sft.lua. As for Qwen2.5-Coder-7B.
return { extends = "../qwen2.5-coder-7b/lora.lua" }
