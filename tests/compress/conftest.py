"""Tiny models of every family that llama.cpp runs, as checkpoints with a tokenizer inside."""

import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "model")]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def checkpoint_of(tmp_path):
    """folder(family, **dials or axes): a checkpoint of a filled model with the golden tokenizer."""
    from toy_exports import written  # noqa: PLC0415 - the path is only known here

    def folder(family, **dials):
        return written(tmp_path / "checkpoint", family, dials)

    return folder
