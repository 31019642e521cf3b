"""The original's MoE layer in PyTorch, as its formulas and its loop over experts have it: what tests/bench/momq.lua compares with.

Usage: momq_peer.py TOKENS INPUTS OUTPUTS RUNS. Prints "dtype, rank N<TAB>milliseconds" of processor time of forward and backward, medians.
"""
import os
import sys
import time

import torch
import torch.nn.functional as F

E, K, S, D = 24, 2, 2, 3


def layer(x, weight, p, scale):
    """x [T, inputs], weight [outputs, inputs], p of parameters()."""
    y = F.linear(x, weight)
    y = y + F.linear(F.linear(x, p["shared_A"]), p["shared_B"]) * scale
    z = x @ p["gate"]
    u = x @ p["dialect"]
    v = torch.softmax(z, -1, dtype=torch.float32).view(-1, D, E // D)
    v = (v * torch.softmax(u, -1, dtype=torch.float32).unsqueeze(-1)).view(-1, E)
    top, ids = torch.topk(v, K, dim=-1, sorted=False)
    top = top.to(x.dtype)
    flat = ids.view(-1)
    repeated = x.repeat_interleave(K, dim=0)
    out = torch.empty(repeated.shape[0], weight.shape[0], dtype=x.dtype, device=x.device)
    for e in range(E):
        chosen = flat == e
        out[chosen] = F.linear(F.linear(repeated[chosen], p["A"][e]), p["B"][e]) * scale
    return y + (out.view(*top.shape, -1) * top.unsqueeze(-1)).sum(dim=1)


def parameters(inputs, outputs, rank, dtype, device="cpu"):
    def leaf(*shape):
        return (torch.rand(*shape, device=device) * 2 - 1).mul(shape[-1] ** -0.5).to(dtype).requires_grad_()

    return {
        "shared_A": leaf(S * rank, inputs), "shared_B": leaf(outputs, S * rank), "gate": leaf(inputs, E),
        "dialect": leaf(inputs, D), "A": [leaf(rank, inputs) for _ in range(E)],
        "B": [leaf(outputs, rank) for _ in range(E)],
    }


def forget_gradients(p):
    for q in p.values():
        for leaf in q if isinstance(q, list) else [q]:
            leaf.grad = None


def main():
    tokens, inputs, outputs, runs = map(int, sys.argv[1:5])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()))
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        for rank in (16, 128):
            torch.manual_seed(1)
            weight = (torch.randn(outputs, inputs) * 0.02).to(dtype)
            p = parameters(inputs, outputs, rank, dtype)
            x = torch.randn(tokens, inputs).to(dtype).requires_grad_()
            dy = torch.randn(tokens, outputs).to(dtype)
            times = []
            for i in range(runs + 1):
                start = time.process_time()
                layer(x, weight, p, 2.0).backward(dy)
                times.append((time.process_time() - start) * 1e3)
                x.grad = None
                forget_gradients(p)
            times = sorted(times[1:])
            print(f"{name}, rank {rank}\t{times[len(times) // 2]:.3f}", flush=True)


if __name__ == "__main__":
    main()
