"""Masks as bytes: nothing is lost, and loops read where each row begins to see and where it stops."""

import numba
import numpy as np
import torch

from whorl.model import seen


def with_holes(t=70):
    causal, place = torch.ones(t, t, dtype=torch.bool).tril(), torch.arange(t)
    return torch.stack([causal & (place % 3 != 1) | torch.eye(t, dtype=torch.bool), causal])


def test_the_bytes_of_a_mask_are_the_mask():
    mask = with_holes()
    packed = seen.seen_bytes(mask)
    assert torch.equal(seen.bytes_seen(packed), mask)
    first, last, count = packed[..., :12].contiguous().view(torch.int32).unbind(-1)
    assert first[0, 0].item() == 0
    assert last[0].tolist() == torch.where(mask[0], torch.arange(70), -1).amax(-1).tolist()
    assert count.tolist() == mask.sum(-1).tolist()


@numba.njit
def _edges(rows, out):
    for r in range(len(rows)):
        out[r, 0], out[r, 1], out[r, 2] = seen.first_seen(rows[r]), seen.last_seen(rows[r]), seen.has_holes(rows[r])


def test_loops_read_the_first_and_the_last_column_seen_and_whether_some_between_are_not():
    mask = torch.zeros(1, 4, 70_000, dtype=torch.bool)  # columns that take three bytes
    mask[0, 0, 66_051] = True
    mask[0, 1, 5:69_999] = True
    mask[0, 2, 0] = mask[0, 2, 300] = True
    out = np.empty((4, 3), np.int64)
    _edges(seen.seen_bytes(mask)[0].numpy(), out)
    assert out.tolist() == [[66_051, 66_051, 0], [5, 69_998, 0], [0, 300, 1], [70_000, -1, 0]]
