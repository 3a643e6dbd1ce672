"""model/sdpa: torch's scaled_dot_product_attention with a dense mask: the reference every other backend is proved equal to.

Memory and time grow with the square of the row, whatever documents it holds.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from whorl.model.mask import Scene

__all__ = ["SdpaAttend"]


class SdpaAttend:
    """See model/attend.Attend."""

    def prepare(self, scene: Scene, *, heads: int, kv_heads: int, dtype: torch.dtype) -> Bool[Tensor, "b 1 t s"]:
        """Who sees whom, with a head axis; one row when all rows see alike."""
        del heads, kv_heads, dtype
        return scene.seen.unsqueeze(1)

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: Tensor
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])
