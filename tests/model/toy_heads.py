"""Random heads, and what a backend makes of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from whorl.model.attend import Attend
from whorl.model.mask import Scene

__all__ = ["CPU", "attended", "drawn_heads"]

CPU = torch.device("cpu")


def attended(backend: Attend, heads: Sequence[Tensor], scene: Scene, dtype: torch.dtype = torch.float32) -> Tensor:
    q, k, v = (part.to(dtype) for part in heads)
    mask = backend.prepare(scene, heads=q.shape[1], kv_heads=k.shape[1], dtype=dtype)
    return backend(q, k, v, mask)


def drawn_heads(rows: int, heads: int, kv_heads: int, times: Sequence[int], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(rows, n, t, 8, generator=generator)
        for n, t in ((heads, times[0]), (kv_heads, times[1]), (kv_heads, times[1]))
    ]
