"""A tiny model with weights from numpy, and engines over it."""

import numpy as np
import pytest
import torch

from whorl.infer.engine import Engine
from whorl.model.families import Family
from whorl.model.transformer import Transformer


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def model():
    """Untied, 61 ids, 48 positions; logits of order one, so that no two are nearly equal."""
    dials = {"use": "qwen3", "depth": 2, "width": 24, "heads": 4, "kv_heads": 2, "head_dim": 8, "mlp_width": 40, "tied": False}
    rng = np.random.default_rng(0)
    built = Transformer(Family.model_validate(dials).configure(61, 48))
    for parameter in built.parameters():
        drawn = rng.normal(1.0, 0.3, parameter.shape) if parameter.ndim == 1 else rng.normal(0.0, 0.25, parameter.shape)
        parameter.data.copy_(torch.from_numpy(drawn))
    return built


@pytest.fixture
def engine(model):
    return Engine(model, stop_ids={1, 4, 5, 6, 7, 8}, pad_id=2)


@pytest.fixture
def prompts():
    rng = np.random.default_rng(3)
    return [rng.integers(9, 61, length).tolist() for length in (1, 9, 4, 4, 13, 2, 7, 1, 20, 6, 3, 11)]
