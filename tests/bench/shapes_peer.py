"""What gpu_peer.py and memory_peer.py train: shapes.lua's, as transformers and PEFT have them.

Ways: full: f32 weights under autocast; bf16: weights and moments in bf16; lora: PEFT's f32 adapters on a frozen bf16
base.
"""
import contextlib

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

SHAPES = {"0.5B": (896, 4864, 24, 14, 2, 151936, True), "1.5B": (1536, 8960, 28, 12, 2, 151936, True),
          "7B": (3584, 18944, 28, 28, 4, 152064, False), "small": (128, 48, 2, 2, 1, 320, True)}


def model_of(name, device, dtype=torch.bfloat16, layers=None, vocabulary=None):
    hidden, inner, depth, heads, groups, vocab, tied = SHAPES[name]
    config = Qwen2Config(hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers or depth,
                         num_attention_heads=heads, num_key_value_heads=groups, vocab_size=vocabulary or vocab,
                         tie_word_embeddings=tied, rope_theta=1e6)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = Qwen2ForCausalLM._from_config(config, attn_implementation="sdpa")
    torch.set_default_dtype(torch.float32)
    return model


def trained_model(name, way, device, layers=None, vocabulary=None):
    model = model_of(name, device, torch.float32 if way == "full" else torch.bfloat16, layers, vocabulary)
    if way == "lora":
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    return model.train()


def checkpointed(model):
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()


def precision(way, device):
    return torch.autocast(device, torch.bfloat16) if way == "full" else contextlib.nullcontext()


def batch(length, vocabulary, device):
    """One row, the last twentieth labelled."""
    ids = (torch.arange(1, length + 1, device=device) * 104729 % vocabulary).unsqueeze(0)
    labels = ids.clone()
    labels[:, : int(0.95 * length)] = -100
    return ids, labels
