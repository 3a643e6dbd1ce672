"""Tiny models whose weights come from numpy, so that they are the same numbers on every machine and torch."""

import numpy as np
import pytest
import torch

from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.model.transformer import Transformer

TINY = {"depth": 2, "width": 24, "heads": 4, "kv_heads": 2, "head_dim": 8, "mlp_width": 40}


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny():
    """config(family, **dials) with 61 ids and 32 positions; odd sizes, grouped queries, heads wider than width / heads."""

    def config(family: str = "qwen3", **dials: object) -> ModelConfig:
        return Family.model_validate({"use": family, **TINY, **dials}).configure(61, 32)

    return config


@pytest.fixture(scope="session")
def filled():
    """model(config, seed): every weight drawn, norms and output matrices too, large enough for logits of order one."""

    def model(config: ModelConfig, seed: int = 0) -> Transformer:
        rng = np.random.default_rng(seed)
        built = Transformer(config)
        for parameter in built.parameters():
            drawn = rng.normal(1.0, 0.3, parameter.shape) if parameter.ndim == 1 else rng.normal(0.0, 0.2, parameter.shape)
            parameter.data.copy_(torch.from_numpy(drawn))
        return built

    return model


@pytest.fixture(scope="session")
def some_ids():
    """ids(rows, columns, seed) within the tiny vocabulary."""

    def ids(rows: int, columns: int, seed: int = 1) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng(seed).integers(0, 61, (rows, columns)))

    return ids
