"""model/attention: multi-head attention with grouped queries, optional norms on queries and keys, and rotary positions.

Does not choose a kernel (model/attend) or a mask (model/mask).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from whorl.model.attend import Attend
from whorl.model.cache import KVCache
from whorl.model.config import ModelConfig
from whorl.model.kernels import turned_heads
from whorl.model.layers import Linear, RMSNorm
from whorl.model.rope import Turn

__all__ = ["Attention", "Sight"]


class Sight(NamedTuple):
    """What every layer of one forward pass shares."""

    turn: Turn
    attend: Attend
    mask: Tensor
    cache: KVCache | None


class Attention(nn.Module):
    """Mixes positions: softmax(q k^T / sqrt(c)) v, per head."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.eps = config.norm_eps
        self.q = Linear(config.width, config.heads * config.head_dim)
        self.k = Linear(config.width, config.kv_heads * config.head_dim)
        self.v = Linear(config.width, config.kv_heads * config.head_dim)
        self.o = Linear(config.heads * config.head_dim, config.width)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None

    def forward(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """What the block adds to the residual stream."""
        # One product instead of three: a tenth of a block's matrix time at width 128, and its gradient needs no sums.
        matrix = torch.cat([self.q.weight, self.k.weight, self.v.weight]).to(x.dtype)
        fused = functional.linear(x, matrix).view(*x.shape[:2], -1, self.head_dim)  # b t h+k+k c
        weight = self._norm_weight()
        q, k, v = turned_heads(fused, sight.turn, num_kv=self.kv_heads, norm_weight=weight, eps=self.eps)
        if sight.cache is not None:
            k, v = sight.cache.extend(self.layer, k, v)  # b k s c
        mixed = sight.attend(q, k, v, sight.mask)  # b h t c
        out: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out

    def _norm_weight(self) -> Float[Tensor, "m c"] | None:
        """A row for each query and key head, or None for no norm."""
        if self.q_norm is None or self.k_norm is None:
            return None
        q = self.q_norm.weight.expand(self.heads, -1)
        return torch.cat([q, self.k_norm.weight.expand(self.kv_heads, -1)])
