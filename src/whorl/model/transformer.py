"""model/transformer: the one Transformer: embed, blocks, final norm; training, scoring and decoding all run this forward.

Axes become modules in `__init__`; forward has no branches on names. Returns hidden states: losses live with whoever
trains, and logits are made by `head` or by model/cross_entropy without ever being held whole.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from whorl.core.seed import Seed
from whorl.model.attend import Attend, BackendName, build_attend
from whorl.model.attention import Attention, Look, Sight
from whorl.model.cache import KVCache
from whorl.model.config import ModelConfig, View
from whorl.model.experts import build_feed_forward
from whorl.model.heads import Pooler, Transform
from whorl.model.initialize import allocate, initialize
from whorl.model.layers import Dropout, Linear, build_norm, cast
from whorl.model.mask import MaskSpec, Scene
from whorl.model.rope import Turn, rotary_table, turn_at

__all__ = ["Block", "Transformer"]


class Block(nn.Module):
    """Attention, then feed-forward, each on a normalised copy of the residual stream: x + f(norm(x))."""

    def __init__(self, config: ModelConfig, layer: int, *, look: int) -> None:
        super().__init__()
        self.attn_norm = build_norm(config, present=layer > 0 or config.first_norm)
        self.attn = Attention(config, layer, look=look)
        self.mlp_norm = build_norm(config)
        self.mlp = build_feed_forward(config, layer)
        self.drop = Dropout()

    def forward(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """The residual stream after this block."""
        x = x + self.drop(self.attn(self.attn_norm(x), sight))
        out: Tensor = x + self.drop(self.mlp(self.mlp_norm(x)))
        return out


class PostNormBlock(Block):
    """norm(x + f(x)), as the first Transformers had it. https://arxiv.org/abs/1706.03762"""

    def forward(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """The residual stream after this block."""
        x = self.attn_norm(x + self.drop(self.attn(x, sight)))
        out: Tensor = self.mlp_norm(x + self.drop(self.mlp(x)))
        return out


class OutputNormBlock(Block):
    """x + norm(f(x)): the stream itself is never normalised. https://arxiv.org/abs/2501.00656"""

    def forward(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """The residual stream after this block."""
        x = x + self.drop(self.attn_norm(self.attn(x, sight)))
        out: Tensor = x + self.drop(self.mlp_norm(self.mlp(x)))
        return out


_BLOCKS: Mapping[str, type[Block]] = {"pre": Block, "post": PostNormBlock, "output": OutputNormBlock}


class Transformer(nn.Module):
    """A language model of one config. Parameters start at zero (norms at one): `fresh` draws them, a checkpoint loads them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = torch.float32  # of activations; masters keep the dtype they were loaded in
        self.backend: BackendName = "auto"  # attention kernel
        views = [config.view(layer) for layer in range(config.depth)]
        self.views = tuple(dict.fromkeys(views))
        self.embed = _embedding(config.vocab_size, config.width)
        self.places = _embedding(config.max_positions, config.width) if config.positions == "learned" else None
        self.segments = _embedding(config.segments, config.width) if config.segments else None
        self.embed_norm = build_norm(config, present=config.embed_norm)
        self.drop = Dropout()
        block = _BLOCKS[config.norm_at]
        self.blocks = nn.ModuleList(block(config, layer, look=self.views.index(view)) for layer, view in enumerate(views))
        self.norm = build_norm(config, present=config.final_norm)
        self.transform = Transform(config) if config.head_transform else None
        self.unembed = None if config.tied else Linear(config.width, config.vocab_size)
        self.head_bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.head_bias else None
        self.pooler = Pooler(config) if config.pooler_dense else None
        self.classifier = Linear(config.width, config.classes, bias=True) if config.classes else None
        self._add_rotary_tables()

    @classmethod
    def blank(cls, config: ModelConfig, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Self:
        """A model whose weights have their memory, once and where they will stay, and no values yet."""
        with torch.device("meta"):
            model = cls(config)
        allocate(model, dtype=dtype, device=device)
        return model

    @classmethod
    def fresh(cls, config: ModelConfig, seed: Seed, *, device: str = "cpu") -> Self:
        """A newly initialised model; each parameter draws from a seed of its own name, the same on every device."""
        model = cls.blank(config, device=device)
        initialize(model, config, seed=seed)
        return model

    @property
    def head_weight(self) -> Float[Tensor, "v d"]:
        """The output matrix."""
        return self.embed.weight if self.unembed is None else self.unembed.weight

    def set_dropout(self, rate: float) -> None:
        """Drop this share of the embeddings and of what each block adds, in training mode; 0 to 1, 1 excluded."""
        assert 0 <= rate < 1, f"dropout rate {rate}, want 0 <= rate < 1"
        for module in self.modules():
            if isinstance(module, Dropout):
                module.rate = rate

    def forward(
        self,
        ids: Int[Tensor, "b t"],
        *,
        mask: MaskSpec | None = None,
        positions: Int[Tensor, "b t"] | None = None,
        segments: Int[Tensor, "b t"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Hidden states after the final norm, in the compute dtype.

        `positions` restart wherever the caller wants them to (packed rows); default: columns. `segments` default to 0. With a
        cache, `ids` are the columns after `cache.length`, and the cache is filled with them.
        """
        past = 0 if cache is None else cache.length
        if positions is None:
            positions = torch.arange(past, past + ids.shape[1], device=ids.device).unsqueeze(0)
        spec = mask or MaskSpec()
        sight = self._sight(spec, positions, num_queries=ids.shape[1], cache=cache)
        x = self._embedded(ids, positions, segments)
        for block in self.blocks:
            x = block(x, sight)
        if cache is not None:
            cache.advance(ids.shape[1], spec.docs)
        out: Tensor = self.norm(x)
        return out

    def before_head(self, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """What the output matrix reads: the hidden states themselves, or their transform."""
        return hidden if self.transform is None else self.transform(hidden)

    def head(self, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Logits, in the dtype of `hidden`."""
        ready = self.before_head(hidden)
        return functional.linear(ready, self.head_weight.to(ready.dtype), cast(self.head_bias, ready.dtype))

    def classify(self, pooled: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Scores of the classes, from what stands for each sequence (model/heads)."""
        assert self.classifier is not None, "the model was built without classes"
        out: Tensor = self.classifier(self.before_head(pooled) if self.pooler is None else self.pooler(pooled))
        return out

    def _embedded(self, ids: Tensor, positions: Tensor, segments: Tensor | None) -> Float[Tensor, "b t d"]:
        x = self.embed(ids)  # b t d
        if self.places is not None:
            x = x + self.places(positions)
        if self.segments is not None:
            x = x + self.segments(torch.zeros_like(ids) if segments is None else segments)
        out: Tensor = self.drop(self.embed_norm(x.to(self.compute_dtype)))
        return out

    def _sight(self, spec: MaskSpec, positions: Tensor, *, num_queries: int, cache: KVCache | None) -> Sight:
        """One mask and one turn for each way that layers of this model see."""
        attend = build_attend(self.backend, device=positions.device, dtype=self.compute_dtype)
        masks = {view.window: self._mask(attend, spec, view, num_queries=num_queries, cache=cache) for view in self.views}
        turns = {table: self._turn(table, positions) for table in self._tables.values()}
        looks = tuple(Look(turns.get(self._tables.get(view[1:], "")), masks[view.window]) for view in self.views)
        return Sight(looks, attend, cache)

    def _mask(self, attend: Attend, spec: MaskSpec, view: View, *, num_queries: int, cache: KVCache | None) -> Any:  # noqa: ANN401
        config, device = self.config, self.head_weight.device
        windows = [window for window in (spec.window, view.window) if window is not None]
        causal = config.causal if spec.causal is None else spec.causal
        rules = replace(spec, causal=causal, window=min(windows, default=None))
        past, past_docs = (0, None) if cache is None else (cache.length, cache.docs)
        scene = Scene(rules, num_queries, device, past=past, past_docs=past_docs)
        return attend.prepare(scene, heads=config.heads, kv_heads=config.kv_heads, dtype=self.compute_dtype)

    def _turn(self, table: str, positions: Tensor) -> Turn:
        heads = self.config.heads + self.config.kv_heads
        return turn_at(self.get_buffer(table), positions, heads=heads, dtype=self.compute_dtype)

    def _add_rotary_tables(self) -> None:
        """A table for each theta and scaling among the views; `_tables` tells its name."""
        config = self.config
        distinct = dict.fromkeys(view[1:] for view in self.views if config.positions == "rotary")
        self._tables = {key: f"rope_{number}" for number, key in enumerate(distinct)}
        for (theta, scaling), name in self._tables.items():
            table = rotary_table(config.max_positions, config.head_dim, theta=theta, scaling=scaling)
            self.register_buffer(name, table, persistent=False)


def _embedding(count: int, width: int) -> nn.Embedding:
    return nn.Embedding(count, width, _weight=torch.zeros(count, width))
