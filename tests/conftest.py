"""What every test can count on: checked shapes, derandomized laws, one OpenMP thread, no network."""

import os
from collections.abc import Iterator

import network_guard
import pytest
import shape_hook
from hypothesis import settings

# Two workers that each start as many spinning OpenMP threads as there are cores slow each other down several times.
os.environ.setdefault("OMP_NUM_THREADS", "1")

shape_hook.install("whorl")

settings.register_profile("ci", derandomize=True, max_examples=50, deadline=None, database=None)
settings.register_profile("thorough", max_examples=500, deadline=None, database=None)
settings.load_profile("ci")


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Fail a test that looks up or connects to anything but this machine."""
    with network_guard.no_network():
        yield
