"""Fixtures of the model tests; the toy models themselves live in toy_models, which tests may also ask at collection time."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny():
    """config(family, **dials) with 61 ids and 32 positions."""
    from toy_models import tiny_config  # noqa: PLC0415 - the path is only known here

    return tiny_config


@pytest.fixture(scope="session")
def filled():
    """model(config, seed): weights that are the same numbers on every machine and torch."""
    from toy_models import filled_model  # noqa: PLC0415

    return filled_model


@pytest.fixture(scope="session")
def some_ids():
    """ids(rows, columns, seed) within the tiny vocabulary."""

    def ids(rows: int, columns: int, seed: int = 1) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng(seed).integers(0, 61, (rows, columns)))

    return ids
