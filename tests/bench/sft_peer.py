"""PyTorch's side of sft.lua: sft_peer.py f32|bf16 SHARE large|small prints seconds of a step and decoded tokens a second."""
import statistics
import sys
import time

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

dtype, share, size = sys.argv[1], float(sys.argv[2]), sys.argv[3]
torch.set_num_threads(2)
small = size == "small"
config = Qwen2Config(hidden_size=128 if small else 896, intermediate_size=288 if small else 4864,
                     num_hidden_layers=3 if small else 24, num_attention_heads=4 if small else 14, num_key_value_heads=2,
                     vocab_size=1500 if small else 151936, tie_word_embeddings=True,
                     rope_theta=1e4 if small else 1e6)
kind = torch.float32 if dtype == "f32" else torch.bfloat16
model = Qwen2ForCausalLM(config).to(kind)
rows, length = (8, 200) if small else (1, 512)
ids = torch.tensor([[((r + 1) * 7919 + (i + 1) * 104729) % config.vocab_size for i in range(length)] for r in range(rows)])

if share == 0:
    model.eval()
    with torch.no_grad():
        out = model(ids[:1, :4], use_cache=True)
        times = []
        for _ in range(25):
            start = time.perf_counter()
            token = out.logits[:, -1:].argmax(-1)
            out = model(token, past_key_values=out.past_key_values, use_cache=True)
            times.append(time.perf_counter() - start)
    print(0, 1 / statistics.median(times))
    sys.exit()

labels = ids.clone()
labels[:, : int(length * (1 - share))] = -100
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
model.train()
times = []
for _ in range(6):
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    times.append(time.perf_counter() - start)
print(statistics.median(times[1:]), 0)
