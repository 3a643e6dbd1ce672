"""bench/copying_models: a model that copies what it read, trained in seconds, and the same function at the cost of a large one.

`copying_model` learns to say again what stood PERIOD tokens before. `widened` puts its weights into the corner of a larger
model full of zeros that computes the same function (to rounding): what it knows is little, but what a step of it costs is
real, and how often a guess about it is right is real too.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from whorl.core.seed import Seed
from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.model.transformer import Transformer

__all__ = ["ALPHABET", "PERIOD", "POSITIONS", "copying_model", "num_parameters", "widened"]

POSITIONS, PERIOD = 512, 24  # tokens of context; between a token and its copy
ALPHABET = 64  # ids that rows are made of; the others of the vocabulary are never seen
STEPS, BATCH, RATE = 600, 16, 2e-3
ENOUGH = 0.02  # nats per copied token


def copying_model(vocab_size: int, *, depth: int = 2, width: int = 128, seed: int = 0) -> Transformer:
    """A small qwen3 that says again what it read. Raises AssertionError when it has not learnt to."""
    dials = {"use": "qwen3", "depth": depth, "width": width, "heads": 4, "kv_heads": 2, "head_dim": 64, "tied": False}
    model = Transformer.fresh(Family.model_validate(dials).configure(vocab_size, POSITIONS), Seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    rng, loss = np.random.default_rng(seed), math.inf
    for _ in range(STEPS):
        ids = torch.from_numpy(np.tile(rng.integers(0, ALPHABET, (BATCH, PERIOD)), 3))
        logits = model.head(model(ids))[:, PERIOD:-1]
        cost = functional.cross_entropy(logits.flatten(0, 1), ids[:, PERIOD + 1 :].flatten())
        optimizer.zero_grad()
        torch.autograd.backward(cost)
        optimizer.step()
        loss = 0.9 * loss + 0.1 * float(cost.detach()) if loss < math.inf else float(cost.detach())
        if loss < ENOUGH:
            break
    assert loss < 10 * ENOUGH, f"the model has not learnt to copy: {loss:.2f} nats per token after {STEPS} steps"
    return model.eval()


@torch.no_grad()
def widened(model: Transformer, config: ModelConfig, *, dtype: torch.dtype) -> Transformer:
    """A model of another, larger config that computes the same: blocks beyond the small model's add nothing."""
    large = Transformer.blank(config, dtype=dtype)
    own = dict(model.named_parameters())
    for name, parameter in large.named_parameters():
        parameter.zero_()
        if name not in own:
            continue
        corner = tuple(slice(size) for size in own[name].shape)
        # The mean square over more channels is smaller, as most of them are zero.
        is_stream_norm = own[name].ndim == 1 and own[name].shape[0] == model.config.width
        scale = math.sqrt(model.config.width / config.width) if is_stream_norm else 1.0
        parameter[corner] = own[name] * scale
    large.compute_dtype = dtype
    return large.eval()


def num_parameters(model: nn.Module) -> int:
    """Weights of all kinds."""
    return sum(parameter.numel() for parameter in model.parameters())
