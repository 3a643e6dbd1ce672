"""Stands in for torch's varlen_attn, which runs on CUDA only: what its documentation says, run by run."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["by_definition"]


def by_definition(*given: Any, window_size: tuple[int, int], enable_gqa: bool = False) -> Tensor:
    """What torch documents varlen_attn to be: attention inside each run, (before, after) keys around the aligned one."""
    q, k, v, starts, ends, *longest = given
    assert torch.equal(starts, ends)
    out = torch.full_like(q, torch.nan)
    before, after = (longest[0] if reach < 0 else reach for reach in window_size)
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        assert end - start <= min(longest)
        places = torch.arange(end - start)
        behind = places[:, None] - places[None]
        heads = [part[None, start:end].transpose(1, 2) for part in (q, k, v)]
        seen = (behind <= before) & (-behind <= after)
        mixed = functional.scaled_dot_product_attention(*heads, attn_mask=seen, enable_gqa=enable_gqa)
        out[start:end] = mixed[0].transpose(0, 1)
    return out
