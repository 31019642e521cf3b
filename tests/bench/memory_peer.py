"""PyTorch's side of memory.lua: name, tab, bytes of weights, of moments, held after the forward pass, most at once, held
for a layer and token, the same under torch.compile (both - with checkpointing).

    python memory_peer.py [FILTER] [small]

Tensors are fake: they have sizes and no bytes. Every storage that an operator makes is counted until it dies. Attention
is the CPU's flash attention, which keeps what the GPU's does. torch.compile is asked which tensors its partition saves.
"""
import sys
import warnings
import weakref

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapes_peer import batch, checkpointed, precision, trained_model

warnings.filterwarnings("ignore")
FILTER = sys.argv[1] if len(sys.argv) > 1 else ""
SMALL = "small" in sys.argv[2:]


class Counter(TorchDispatchMode):
    """Bytes of the storages that are alive."""

    def __init__(self):
        super().__init__()
        self.live, self.peak, self.sizes = 0, 0, {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor):
                self.add(x.untyped_storage())
        return out

    def add(self, storage):
        if storage._cdata in self.sizes:
            return
        self.sizes[storage._cdata] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self.drop, storage._cdata)

    def drop(self, key):
        self.live -= self.sizes.pop(key)


def filled(model):
    """The same model with tensors of where this is called: real ones, or fake ones."""
    made = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for key, x in table.items():
                if x is not None and id(x) not in made:
                    y = torch.zeros(x.shape, dtype=x.dtype)
                    made[id(x)] = torch.nn.Parameter(y, x.requires_grad) if table is module._parameters else y
                if x is not None:
                    table[key] = made[id(x)]
    return model


def count(name, way, length, checkpointing):
    counter = Counter()
    template = trained_model(name, way, "meta")
    with FakeTensorMode(allow_non_fake_inputs=True), counter:
        model = filled(template)
        weights = counter.live
        if checkpointing:
            checkpointed(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        ids, labels = batch(length, model.config.vocab_size, "cpu")
        for _ in range(2):
            before = counter.peak = counter.live
            with precision(way, "cpu"):
                loss = model(input_ids=ids, labels=labels).loss
            held = counter.live - before
            loss.backward()
            del loss
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return weights, counter.live - weights, held, counter.peak


def each_layer(name, way, backend):
    """Bytes that one more layer holds for one more token."""
    def held(layers, tokens, vocabulary=512):
        torch._dynamo.reset()
        model = filled(trained_model(name, way, "meta", layers, vocabulary))
        own, saved = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

        def pack(x):
            storage = x.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage
            return x

        run = torch.compile(model, backend=backend) if backend else model
        ids, labels = batch(tokens, vocabulary, "cpu")
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x), precision(way, "cpu"):
            loss = run(input_ids=ids, labels=labels).loss
        del loss
        return sum(s.nbytes() for s in saved.values())

    return (held(3, 128) - held(2, 128) - held(3, 64) + held(2, 64)) / 64


for size in ("small",) if SMALL else ("0.5B", "1.5B", "7B"):
    for way in ("full", "bf16", "lora"):
        titles = [(f"{size} {way} {length}" + (" checkpointing" if again else ""), length, again)
                  for length in ((24,) if SMALL else (2048, 8192)) for again in (False, True)]
        titles = [row for row in titles if FILTER in row[0]]
        if titles and not all(again for _, _, again in titles):
            eager, compiled = each_layer(size, way, None), each_layer(size, way, "aot_eager_decomp_partition")
        for title, length, again in titles:
            weights, moments, held, peak = count(size, way, length, again)
            print(title, weights, moments, held, peak, "-" if again else eager, "-" if again else compiled, sep="\t",
                  flush=True)
