"""The operators of operators.lua in PyTorch: name, tab, milliseconds of processor time of all threads (median).

    python operators_peer.py [FILTER]
"""
import os
import sys
import time

import torch
import torch.nn.functional as F

FILTER = sys.argv[1] if len(sys.argv) > 1 else ""
SECONDS = 0.5
TOKENS, WIDTH, INNER, HEADS, GROUPS, DIM, VOCAB = 512, 896, 4864, 14, 2, 64, 151936
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()))


def measure(name, run):
    if FILTER not in name:
        return
    times, start = [], time.perf_counter()
    run()
    while len(times) < 5 or time.perf_counter() - start < SECONDS:
        began = time.process_time()
        run()
        times.append((time.process_time() - began) * 1e3)
    print(f"{name}\t{sorted(times)[(len(times) - 1) // 2]}", flush=True)


def both(name, dtype, shapes, run):
    if FILTER not in name + " forward" and FILTER not in name + " both":
        return
    inputs = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]

    def forward():
        with torch.no_grad():
            run(*inputs)

    ones = []

    def backward():
        y = run(*inputs)
        if not ones:
            ones.append(torch.ones_like(y))
        y.backward(ones[0])
        for x in inputs:
            x.grad = None

    measure(name + " forward", forward)
    measure(name + " both", backward)


def attention(q, k, v):
    """q [T, H, D]; the key-value heads are repeated, as transformers does."""
    q, k, v = (x.transpose(0, 1).unsqueeze(0) for x in (q, k, v))
    k, v = (x.repeat_interleave(HEADS // GROUPS, 1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


labels = torch.arange(1, TOKENS + 1) * 7919 % VOCAB
for dtype, text in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
    for a, b in ((WIDTH, WIDTH), (WIDTH, INNER), (INNER, WIDTH)):
        both(f"{text} linear {a}x{b}", dtype, [(TOKENS, a), (b, a)], F.linear)
    for rows in (1, 8):
        if FILTER in f"{text} decode {rows}":
            x, w = torch.randn(rows, WIDTH).to(dtype), torch.randn(VOCAB, WIDTH).to(dtype)
            measure(f"{text} decode {rows}", lambda: F.linear(x, w))
    for length in (512, 2048):
        shapes = [(length, HEADS, DIM), (length, GROUPS, DIM), (length, GROUPS, DIM)]
        both(f"{text} attention {length}", dtype, shapes, attention)
    both(f"{text} rms_norm", dtype, [(TOKENS, WIDTH), (WIDTH,)], lambda x, w: F.rms_norm(x, (WIDTH,), w, 1e-6))
    both(f"{text} swiglu", dtype, [(TOKENS, INNER), (TOKENS, INNER)], lambda g, u: F.silu(g) * u)
    both(f"{text} head", dtype, [(TOKENS, WIDTH), (VOCAB, WIDTH)],
         lambda x, w: F.cross_entropy(F.linear(x, w).float(), labels, reduction="sum"))
