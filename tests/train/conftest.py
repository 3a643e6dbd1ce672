"""Fixtures of the training tests; the toy data they share lives in toy_training, which a killed subprocess runs too."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    """Toy tokens and dialogues, written once."""
    from toy_training import Ground  # noqa: PLC0415 - the path is only known here

    return Ground.make(tmp_path_factory.mktemp("ground"))
