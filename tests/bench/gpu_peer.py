"""PyTorch's side of gpu.lua: name, tab, milliseconds (median), tab, peak bytes of the card. A name that ends in
" compiled" is the row of that name under torch.compile.

    python gpu_peer.py [FILTER] [small]
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

import momq_peer
from shapes_peer import batch, checkpointed, model_of, precision, trained_model

FILTER = sys.argv[1] if len(sys.argv) > 1 else ""
SMALL = "small" in sys.argv[2:]
CARD = "cuda" if torch.cuda.is_available() else "cpu"
COMPILER = "inductor" if CARD == "cuda" else "eager"
TOKENS, WIDTH, INNER, HEADS, GROUPS, DIM, VOCAB = (
    (8, 32, 48, 4, 2, 64, 64) if SMALL else (4096, 3584, 18944, 28, 4, 128, 152064))


def wait():
    if CARD == "cuda":
        torch.cuda.synchronize()


def seconds(fn, rounds=5):
    def once(calls):
        wait()
        start = time.perf_counter()
        for _ in range(calls):
            fn()
        wait()
        return (time.perf_counter() - start) / calls

    if SMALL:
        return once(1)
    once(1)
    calls = max(1, min(1000, int(0.02 / once(1))))
    return statistics.median(once(calls) for _ in range(rounds))


def row(name, fn, every=1, less=0.0):
    """One line; `less` seconds are taken off, what remains is divided by `every`."""
    if FILTER not in name:
        return
    if CARD == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        taken = (seconds(fn) - less) / every
    except torch.OutOfMemoryError:
        print(f"{name}: out of memory", file=sys.stderr)
        return
    peak = torch.cuda.max_memory_allocated() if CARD == "cuda" else 0
    print(f"{name}\t{taken * 1e3}\t{peak}", flush=True)


def random(*shape, kind=torch.bfloat16, wants=False):
    return torch.randn(shape, device=CARD).to(kind).requires_grad_(wants)


def plain(fn):
    def run():
        with torch.no_grad():
            fn()
    return run


def fused(fn):
    return torch.compile(fn, backend=COMPILER)


def both(name, inputs, fn):
    row(name + " forward", plain(lambda: fn(*inputs)))
    ones = []

    def run():
        y = fn(*inputs)
        if not ones:
            ones.append(torch.ones_like(y))
        y.backward(ones[0])
        for x in inputs:
            x.grad = None

    row(name + " both", run)


def kernels():
    n = TOKENS * WIDTH
    x, r, w = random(TOKENS, WIDTH, wants=True), random(TOKENS, WIDTH), random(WIDTH)
    both("rms_norm", [x], fused(lambda a: F.rms_norm(a + r, (WIDTH,), w, 1e-6)))
    both("rms_norm alone", [x, random(WIDTH, wants=True)], fused(lambda a, b: F.rms_norm(a, (WIDTH,), b, 1e-6)))
    both("swiglu", [random(TOKENS, INNER, wants=True), random(TOKENS, INNER, wants=True)],
         fused(lambda gate, up: F.silu(gate) * up))
    both("gelu", [x], F.gelu)
    both("softmax", [x], lambda a: F.softmax(a, -1))
    both("dropout", [x], lambda a: F.dropout(a, 0.1))
    row("add", plain(lambda: x + r))
    row("add bias", plain(lambda: x + w))
    row("sum", plain(lambda: x.sum()))
    row("sum of columns", plain(lambda: x.sum(0)))
    row("convert to f32", plain(lambda: x.float()))
    row("randn", plain(lambda: torch.randn(TOKENS, WIDTH, device=CARD)))
    rope(random(1, HEADS, TOKENS, DIM, wants=True), random(1, GROUPS, TOKENS, DIM))
    gates = random(TOKENS, 24, kind=torch.float32)
    row("topk 2 of 24", plain(lambda: torch.topk(gates, 2)))
    for name, kind in (("adamw f32", torch.float32), ("adamw bf16", torch.bfloat16)):
        p = torch.nn.Parameter(random(n, kind=kind))
        p.grad = random(n, kind=kind)
        row(name, torch.optim.AdamW([p], lr=1e-5, fused=True).step)
    p = random(n, kind=torch.float32)
    row("global_norm f32", plain(lambda: torch.linalg.vector_norm(p)))
    lora(WIDTH, INNER, 16)


def rope(q, k):
    from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb
    angles = torch.arange(TOKENS, device=CARD).float()[None, :, None] * torch.ones(DIM, device=CARD)
    cosine, sine = angles.cos().bfloat16(), angles.sin().bfloat16()
    turn = fused(lambda a: apply_rotary_pos_emb(a, k, cosine, sine)[0])
    both("rope", [q], turn)


def lora(k, n, rank):
    weight = random(n, k)
    inputs = [random(TOKENS, k, wants=True), random(rank, k, kind=torch.float32, wants=True),
              random(n, rank, kind=torch.float32, wants=True)]
    both(f"lora_linear {k}x{n}", inputs,
         lambda x, a, b: F.linear(x, weight) + (2 * F.linear(F.linear(x.float(), a), b)).to(x.dtype))


def vocabulary():
    weight = random(VOCAB, WIDTH, wants=True)
    ids, labels = (t[0] for t in batch(TOKENS, VOCAB, CARD))
    both("embedding", [weight], lambda w: F.embedding(ids, w))
    both("head with loss, 5%", [random(TOKENS, WIDTH, wants=True), weight],
         lambda x, w: F.cross_entropy(F.linear(x, w).float(), labels))
    count = 8 if SMALL else 220
    logits, targets = random(count, VOCAB, kind=torch.float32), torch.arange(1, count + 1, device=CARD) * 31 % VOCAB
    row("cross_entropy f32", plain(lambda: F.cross_entropy(logits, targets, reduction="sum")))
    row("softmax of a vocabulary", plain(lambda: F.softmax(logits, -1)))
    logits = random(3 if SMALL else 64, VOCAB, kind=torch.float32)

    def sample():
        values, places = torch.topk(logits / 0.8, min(50, VOCAB))
        shares = F.softmax(values, -1)
        shares[shares.cumsum(-1) - shares > 0.9] = 0
        return places.gather(1, torch.multinomial(shares, 1))

    row("sample", plain(sample))


def experts(k, n, rank):
    p, x = momq_peer.parameters(k, n, rank, torch.bfloat16, CARD), random(TOKENS, k, wants=True)
    weight, dy = random(n, k), random(TOKENS, n)

    def run():
        momq_peer.layer(x, weight, p, 2.0).backward(dy)
        x.grad = None
        momq_peer.forget_gradients(p)

    row(f"momq layer {k}x{n} both", run)


def attention(q, k, v):
    q, k, v = (x.transpose(0, 1).unsqueeze(0) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def attend(count, length):
    """One query of each sequence, as a replayed graph that takes caches in turn, more bytes than L2 holds."""
    title = f"attention decode {count}x{length}"
    if FILTER not in title:
        return
    calls = 2 if SMALL else max(1, (512 << 20) // (4 * count * length * GROUPS * DIM))
    try:
        q = random(count, HEADS, 1, DIM)
        caches = [(random(count, GROUPS, length, DIM), random(count, GROUPS, length, DIM)) for _ in range(calls)]

        @torch.no_grad()
        def run():
            for k, v in caches:
                F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

        step = run
        if CARD == "cuda":
            run()
            wait()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                run()
            step = graph.replay
        row(title, step, calls)
    except torch.OutOfMemoryError:
        print(f"{title}: out of memory", file=sys.stderr)


def train(name, way, length, checkpointing):
    """Eager, and compiled."""
    title = f"sft {name} {way} {length}" + (" checkpointing" if checkpointing else "")
    if FILTER not in title:
        return
    try:
        model = trained_model(name, way, CARD)
        if checkpointing:
            checkpointed(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        ids, labels = batch(length, model.config.vocab_size, CARD)
        for kind, run in ((title, model), (title + " compiled", torch.compile(model, backend=COMPILER))):
            def step():
                with precision(way, CARD):
                    loss = run(input_ids=ids, labels=labels).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                optimizer.zero_grad()

            row(kind, step)
    except torch.OutOfMemoryError:
        print(f"{title}: out of memory", file=sys.stderr)


def decode(name, count):
    if FILTER not in f"decode {name} {count}":
        return
    model, tokens = model_of(name, CARD).eval(), 3 if SMALL else 64
    ids = torch.tensor([[i, i + 1, i + 2, i + 3] for i in range(1, count + 1)], device=CARD)

    def run(n):
        model.generate(ids, max_new_tokens=n, min_new_tokens=n, do_sample=False, pad_token_id=0)

    one = seconds(lambda: run(1), 3)
    row(f"decode {name} {count}", lambda: run(tokens), tokens - 1, one)


kernels()
vocabulary()
for k, n in ((WIDTH, WIDTH), (WIDTH, INNER), (INNER, WIDTH)):
    both(f"linear {k}x{n}", [random(TOKENS, k, wants=True), random(n, k, wants=True)], F.linear)
for k, n in ((WIDTH, INNER), (INNER, WIDTH)):
    experts(k, n, 8 if SMALL else 128)
for size in (40,) if SMALL else (2048, 8192, 32768):
    both(f"attention {size}", [random(size, HEADS, DIM, wants=True), random(size, GROUPS, DIM, wants=True),
                               random(size, GROUPS, DIM, wants=True)], attention)
for size in (70,) if SMALL else (4096, 32768):
    for many in (1, 3) if SMALL else (1, 8, 64):
        attend(many, size)
for size in ("small",) if SMALL else ("0.5B", "1.5B", "7B"):
    for tokens in (24,) if SMALL else (2048, 8192):
        for again in (False, True):
            for way in ("full", "bf16", "lora"):
                train(size, way, tokens, again)
for size in ("small",) if SMALL else ("0.5B", "7B"):
    for many in (1, 8, 64):
        decode(size, many)
