"""PEFT's side of lora.lua: lora_peer.py f32|bf16 plain|dora large|small prints the seconds of a step."""
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

dtype, kind, size = sys.argv[1], sys.argv[2], sys.argv[3]
torch.set_num_threads(2)
small, length = size == "small", 512
config = Qwen2Config(hidden_size=128 if small else 896, intermediate_size=288 if small else 4864, num_hidden_layers=4,
                     num_attention_heads=4 if small else 14, num_key_value_heads=2,
                     vocab_size=1500 if small else 32000, tie_word_embeddings=True, rope_theta=1e4)
model = Qwen2ForCausalLM(config).to(torch.float32 if dtype == "f32" else torch.bfloat16)
model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear",
                                         use_dora=kind == "dora"))
ids = torch.tensor([[(7919 + (i + 1) * 104729) % config.vocab_size for i in range(length)]])
labels = ids.clone()
labels[:, : int(length * 0.9)] = -100
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4)
model.train()
times = []
for _ in range(6):
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    times.append(time.perf_counter() - start)
print(statistics.median(times[1:]))
