"""Hugging Face tokenizers on the texts of tokenize.lua, one thread: prints MB/s of each run.

    python tokenize_peer.py TOKENIZER_JSON TEXTS_JSON RUNS
"""
import json
import os
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

tokenizer = Tokenizer.from_file(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as file:
    texts = json.load(file)
size = sum(len(text.encode()) for text in texts)
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    tokenizer.encode_batch_fast(texts, add_special_tokens=False)  # no offsets, like ours
    print(size / 1e6 / (time.perf_counter() - start))
