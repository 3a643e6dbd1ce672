"""model/attention: multi-head attention with grouped queries, optional norms on queries and keys, and rotary positions.

Does not choose a kernel (model/attend) or a mask (model/mask).
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from whorl.model.config import ModelConfig
from whorl.model.kernels import Heads, turned_heads
from whorl.model.layers import Linear, Product, RMSNorm, product
from whorl.model.rope import Turn
from whorl.model.turned_maps import can_turn, turned_maps
from whorl.model.turns import HeadNorm

__all__ = ["Attention", "Look", "Mixer", "Sight"]


class Look(NamedTuple):
    """How some layers of one forward pass see: all of one View of the config."""

    turn: Turn | None  # None: positions were added to the embeddings
    mask: Any  # what the mixer's owner prepared; None where it needs none


@runtime_checkable  # Sight is checked at run time in tests
class Mixer(Protocol):
    """How queries meet keys: within the rows of a batch, or with what was kept of earlier passes as well (infer/forward)."""

    def __call__(self, layer: int, look: Look, heads: Heads) -> Float[Tensor, "b h t c"]:
        """What each query gathers from the values that it may see in this layer."""
        ...


class Sight(NamedTuple):
    """What the layers of one forward pass share."""

    looks: tuple[Look, ...]
    mixer: Mixer


class Attention(nn.Module):
    """Mixes positions: softmax(q k^T / sqrt(c)) v, per head."""

    def __init__(self, config: ModelConfig, layer: int, *, look: int) -> None:
        super().__init__()
        self.layer = layer
        self.look = look  # which of the forward pass's looks is this layer's
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.eps = config.norm_eps
        q_width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q = Linear(config.width, q_width, bias=config.attn_bias)
        self.k = Linear(config.width, kv_width, bias=config.attn_bias)
        self.v = Linear(config.width, kv_width, bias=config.attn_bias)
        self.o = Linear(q_width, config.width, bias=config.out_bias)
        normed = {"none": None, "head": (config.head_dim, config.head_dim), "all": (q_width, kv_width)}[config.qk_norm]
        self.q_norm = RMSNorm(normed[0], config.norm_eps) if normed else None
        self.k_norm = RMSNorm(normed[1], config.norm_eps) if normed else None
        self.norms_whole = config.qk_norm == "all"
        self.product: Product = product  # of the three maps at once; model/fp8 puts another in its place

    def forward(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """What the block adds to the residual stream."""
        look = sight.looks[self.look]
        q, k, v = self._projected(x, look.turn)
        mixed = sight.mixer(self.layer, look, (q, k, v))  # b h t c
        out: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out

    def _projected(self, x: Float[Tensor, "b t d"], turn: Turn | None) -> Heads:
        """Queries, keys and values, heads first, normed and turned to their place."""
        weights, biases = (self.q.weight, self.k.weight, self.v.weight), (self.q.bias, self.k.bias, self.v.bias)
        is_plain = turn is not None and self.q_norm is None and self.q.bias is None and self.product is product
        if turn is not None and is_plain and can_turn(x, weights, turn):
            return turned_maps(x, weights, turn)
        fused = self.product(x, weights, biases)
        if self.norms_whole:
            fused = self._whole_normed(fused)
        heads = fused.view(*x.shape[:2], -1, self.head_dim)  # b t h+k+k c
        if turn is None:
            return self._unturned(heads)
        return turned_heads(heads, turn, num_kv=self.kv_heads, norm=self._head_norm())

    def _unturned(self, heads: Float[Tensor, "b t n c"]) -> Heads:
        """Queries, keys and values of a model whose positions were added to the embeddings."""
        q, k, v = torch.split(heads, [self.heads, self.kv_heads, self.kv_heads], dim=2)
        if self.q_norm is not None and self.k_norm is not None and not self.norms_whole:
            q, k = self.q_norm(q), self.k_norm(k)
        return q.transpose(1, 2).contiguous(), k.transpose(1, 2).contiguous(), v.transpose(1, 2).contiguous()

    def _whole_normed(self, fused: Float[Tensor, "b t n"]) -> Float[Tensor, "b t n"]:
        """Queries and keys normed over all their heads at once."""
        assert self.q_norm is not None, "norms_whole goes with norms"
        assert self.k_norm is not None, "norms_whole goes with norms"
        q, k, v = torch.split(fused, [self.q.weight.shape[0], self.k.weight.shape[0], self.v.weight.shape[0]], dim=-1)
        return torch.cat([self.q_norm(q), self.k_norm(k), v], dim=-1)

    def _head_norm(self) -> HeadNorm | None:
        """The norms, if they are over heads."""
        if self.q_norm is None or self.k_norm is None or self.norms_whole:
            return None
        return HeadNorm(self.q_norm.weight, self.k_norm.weight, self.eps)
