"""train/memory: the most memory a run has held so far, and whose figure that is.

On a GPU what torch's allocator handed out; elsewhere the resident pages of this process, Python and libraries included. Does
not predict.
"""

import resource
import sys
from typing import NamedTuple

import torch

__all__ = ["PeakMemory", "peak_memory"]


class PeakMemory(NamedTuple):
    """Bytes, and what was counted."""

    bytes: int
    what: str


def peak_memory(device: torch.device) -> PeakMemory:
    """The largest amount held at once since the process began (on a GPU: since its figures were last reset)."""
    if device.type == "cuda":
        return PeakMemory(torch.cuda.max_memory_allocated(device), "allocated by torch on the GPU")
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB, macOS in bytes
    return PeakMemory(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "resident pages of the process")
