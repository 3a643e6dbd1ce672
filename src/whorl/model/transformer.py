"""model/transformer: the one Transformer: embed, blocks, final norm; training, scoring and decoding all run this forward.

Axes become modules in `__init__`; forward has no branches on names. Returns hidden states: losses live with whoever
trains, and logits are made by `head` or by model/cross_entropy without ever being held whole.
"""

from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from whorl.core.seed import Seed
from whorl.model.attend import BackendName, build_attend
from whorl.model.attention import Attention, Sight
from whorl.model.cache import KVCache
from whorl.model.config import ModelConfig
from whorl.model.initialize import initialize
from whorl.model.layers import Linear, RMSNorm, build_mlp
from whorl.model.mask import MaskSpec, visible
from whorl.model.rope import rotary_table, turn_at

__all__ = ["Block", "Transformer"]


class Block(nn.Module):
    """Attention, then feed-forward, each on a normalised copy of the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attn_norm = RMSNorm(config.width, config.norm_eps)
        self.attn = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.width, config.norm_eps)
        self.mlp = build_mlp(config)

    def forward(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """The residual stream after this block."""
        x = x + self.attn(self.attn_norm(x), sight)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class Transformer(nn.Module):
    """A language model of one config. Parameters start at zero (norms at one): `fresh` draws them, a checkpoint loads them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = torch.float32  # of activations; masters keep the dtype they were loaded in
        self.backend: BackendName = "auto"  # attention kernel
        self.embed = nn.Embedding(config.vocab_size, config.width, _weight=torch.zeros(config.vocab_size, config.width))
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.depth))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.unembed = None if config.tied else Linear(config.width, config.vocab_size)
        rope = rotary_table(config.max_positions, config.head_dim, theta=config.rope_theta)
        self.register_buffer("rope", rope, persistent=False)
        self.rope: Tensor

    @classmethod
    def fresh(cls, config: ModelConfig, seed: Seed) -> Self:
        """A newly initialised model; each parameter draws from a seed of its own name."""
        model = cls(config)
        initialize(model, config, seed=seed)
        return model

    @property
    def head_weight(self) -> Float[Tensor, "v d"]:
        """The output matrix."""
        return self.embed.weight if self.unembed is None else self.unembed.weight

    def forward(
        self,
        ids: Int[Tensor, "b t"],
        *,
        mask: MaskSpec | None = None,
        positions: Int[Tensor, "b t"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Hidden states after the final norm, in the compute dtype.

        `positions` restart wherever the caller wants them to (packed rows); default: columns. With a cache, `ids` are the
        columns after `cache.length`, and the cache is filled with them.
        """
        past = 0 if cache is None else cache.length
        spec = mask or MaskSpec(causal=self.config.causal)
        columns = torch.arange(past, past + ids.shape[1], device=ids.device).unsqueeze(0)
        attend = build_attend(self.backend, device=ids.device, dtype=self.compute_dtype)
        seen = visible(spec, ids.shape[1], device=ids.device, past=past, past_docs=None if cache is None else cache.docs)
        sight = Sight(
            turn=turn_at(
                self.rope,
                columns if positions is None else positions,
                heads=self.config.heads + self.config.kv_heads,
                dtype=self.compute_dtype,
            ),
            attend=attend,
            mask=attend.prepare(seen, heads=self.config.heads, kv_heads=self.config.kv_heads, dtype=self.compute_dtype),
            cache=cache,
        )
        x = self.embed(ids).to(self.compute_dtype)  # b t d
        for block in self.blocks:
            x = block(x, sight)
        if cache is not None:
            cache.advance(ids.shape[1], spec.docs)
        out: Tensor = self.norm(x)
        return out

    def head(self, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Logits, in the dtype of `hidden`."""
        return functional.linear(hidden, self.head_weight.to(hidden.dtype))
