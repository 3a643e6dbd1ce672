"""model/attend: softmax attention over given heads, in interchangeable backends proved equal to each other.

`sdpa` is the reference: torch's fused kernel with a dense mask. `matmul` writes the two products out; on a CPU in bf16
it is several times faster at short context. Each prepares its mask once per batch, not once per layer. Does not project,
position or cache.
"""

from typing import Literal, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from whorl.model.parallel import pick_backend

__all__ = ["Attend", "BackendName", "MatmulAttend", "SdpaAttend", "build_attend"]

BackendName = Literal["auto", "sdpa", "matmul"]


class Attend(Protocol):
    """One way of computing attention. Grouped queries: head h reads key head h * k // heads."""

    def prepare(self, seen: Bool[Tensor, "b t s"], *, heads: int, kv_heads: int, dtype: torch.dtype) -> Tensor:
        """Whatever this backend wants to know about visibility; `seen` has one row when all rows see alike."""
        ...

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: Tensor
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        ...


class SdpaAttend:
    """torch's scaled_dot_product_attention with a boolean mask."""

    def prepare(self, seen: Bool[Tensor, "b t s"], *, heads: int, kv_heads: int, dtype: torch.dtype) -> Tensor:
        """The mask with a head axis."""
        del heads, kv_heads, dtype
        return seen.unsqueeze(1)  # b 1 t s

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: Tensor
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])


class MatmulAttend:
    """baddbmm (the mask is its addend), softmax, bmm. A group of queries is stacked along time, so keys are never copied.

    The softmax runs in the compute dtype: torch sums it in float32 inside and rounds once at the end.
    """

    def prepare(self, seen: Bool[Tensor, "b t s"], *, heads: int, kv_heads: int, dtype: torch.dtype) -> Tensor:
        """0 where seen, minus infinity elsewhere: (b k, g t, s), or (1, g t, s) when all rows see alike."""
        bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
        rows, t, s = bias.shape
        copies = kv_heads if rows > 1 else 1
        return bias[:, None, None].expand(rows, copies, heads // kv_heads, t, s).reshape(rows * copies, -1, s)

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: Tensor
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        b, kv_heads, s, c = k.shape
        stacked = q.reshape(b * kv_heads, -1, c)  # bk gt c
        keys, values = k.reshape(b * kv_heads, s, c), v.reshape(b * kv_heads, s, c)
        scores = torch.baddbmm(mask, stacked, keys.transpose(1, 2), alpha=c**-0.5)  # bk gt s
        return torch.bmm(scores.softmax(dim=-1), values).view(q.shape)


BACKENDS: dict[str, Attend] = {"sdpa": SdpaAttend(), "matmul": MatmulAttend()}


def build_attend(name: BackendName, *, device: torch.device, dtype: torch.dtype) -> Attend:
    """The backend of that name; `auto` asks the hardware."""
    return BACKENDS[pick_backend(device, dtype).name if name == "auto" else name]
