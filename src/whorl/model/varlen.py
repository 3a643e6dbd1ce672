"""model/varlen: attention over documents of any length laid end to end, without a mask: torch's varlen_attn.

Needs a CUDA device, half precision and a torch that has it; what it computes was not measured, the arithmetic of where
documents begin is tested on a CPU. Decoding, where keys stand before the queries, is left to the dense reference.

https://arxiv.org/abs/2307.08691
"""

import inspect
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from whorl.model.mask import MaskSpec, Scene
from whorl.model.sdpa import SdpaAttend

__all__ = ["Runs", "VarlenAttend", "run_starts", "varlen_fault"]

_MODULE = "torch.nn.attention.varlen"
_DENSE = SdpaAttend()


class Runs(NamedTuple):
    """Where each run of positions begins that see each other, in rows laid end to end, and how far a query looks."""

    starts: Int[Tensor, " n"] | None  # int32, the end of all last; None: every row is one run
    window: tuple[int, int]  # keys before and after; -1: all


def varlen_fault(device: torch.device, dtype: torch.dtype) -> str:
    """Why this backend cannot run here; empty when it can."""
    if find_spec(_MODULE) is None:
        return f"torch {torch.__version__} has no {_MODULE} (since 2.10)"
    if device.type != "cuda":
        return f"needs a CUDA device, this is {device.type}"
    if dtype not in (torch.bfloat16, torch.float16):
        return f"computes in bf16 or fp16, not {str(dtype).removeprefix('torch.')}"
    return ""


def run_starts(docs: Int[Tensor, "b t"]) -> Int[Tensor, " n"]:
    """Where documents begin when rows are laid end to end, and the end, as int32.

    The end is repeated until a power of two is full: code compiled for one number of documents serves many. Waits for the
    device once, to learn how many there are.
    """
    is_first = torch.ones_like(docs, dtype=torch.bool)
    is_first[:, 1:] = docs[:, 1:] != docs[:, :-1]
    starts = is_first.flatten().nonzero().squeeze(1).int()
    length = max(64, 1 << len(starts).bit_length())  # more than there are starts: at least one end
    return functional.pad(starts, (0, length - len(starts)), value=docs.numel())


def _window(rules: MaskSpec) -> tuple[int, int]:
    """Keys before and after a query, itself not counted; -1: all."""
    reach = -1 if rules.window is None else rules.window - 1
    return reach, 0 if rules.causal else reach


class VarlenAttend:
    """See model/attend.Attend."""

    def prepare(self, scene: Scene, *, heads: int, kv_heads: int, dtype: torch.dtype) -> Runs | Tensor:
        """Where documents begin; the dense mask where keys stand before the queries."""
        if scene.past:
            return _DENSE.prepare(scene, heads=heads, kv_heads=kv_heads, dtype=dtype)
        docs = scene.rules.docs
        return Runs(None if docs is None else run_starts(docs), _window(scene.rules))

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: Runs | Tensor
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        if isinstance(mask, Tensor):
            return _DENSE(q, k, v, mask)
        b, h, t, _ = q.shape
        starts = torch.arange(0, (b + 1) * t, t, dtype=torch.int32, device=q.device) if mask.starts is None else mask.starts
        attend, has_groups = _varlen()
        if not has_groups:
            k, v = (part.repeat_interleave(h // k.shape[1], dim=1) for part in (k, v))
        groups = {"enable_gqa": h != k.shape[1]} if has_groups else {}
        flat = [part.transpose(1, 2).flatten(0, 1) for part in (q, k, v)]  # b*t n c
        out: Tensor = attend(*flat, starts, starts, t, t, window_size=mask.window, **groups)
        return out.view(b, t, h, -1).transpose(1, 2)


@cache
def _varlen() -> tuple[Any, bool]:
    """torch's function, and whether it shares keys among queries itself (since 2.12)."""
    attend = import_module(_MODULE).varlen_attn
    return attend, "enable_gqa" in inspect.signature(attend).parameters
