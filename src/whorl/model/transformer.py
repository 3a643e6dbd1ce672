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

from whorl.core.seed import Seed
from whorl.model.attend import Attend, BackendName, build_attend
from whorl.model.attention import Attention, Look, Mixer, Sight
from whorl.model.config import ModelConfig, View
from whorl.model.experts import build_feed_forward
from whorl.model.heads import Pooler, Transform
from whorl.model.initialize import allocate, initialize
from whorl.model.kernels import Heads
from whorl.model.layers import Dropout, Linear, Product, build_norm, product
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
        x, normed = self.attn_norm.beside(x)
        x = x + self.drop(self.attn(normed, sight))
        x, normed = self.mlp_norm.beside(x)
        out: Tensor = x + self.drop(self.mlp(normed))
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


class _Within:
    """The mixer of a batch whose rows are whole: every key a query may see is in its row."""

    def __init__(self, attend: Attend) -> None:
        self._attend = attend

    def __call__(self, layer: int, look: Look, heads: Heads) -> Float[Tensor, "b h t c"]:
        del layer
        return self._attend(*heads, look.mask)


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
        self.head_product: Product = product  # of the output matrix, whichever it is; see layers.Linear
        self.logit_product: Product | None = None  # the same with float32 sums left as they are, where something can do that
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

    def twin(self) -> Self:
        """Another model of the same parameters, the tensors themselves; what is hung into its modules does not touch this one.

        It computes in the same dtype and does not drop out.
        """
        with torch.device("meta"):
            other = type(self)(self.config)
        own = {name: tensor.detach() for name, tensor in self.named_parameters()}
        other.load_state_dict(own | dict(self.named_buffers()), strict=False, assign=True)
        for name, buffer in self.named_buffers():
            owner, _, last = name.rpartition(".")
            other.get_submodule(owner)._buffers[last] = buffer
        other.compute_dtype, other.backend = self.compute_dtype, self.backend
        return other.eval().requires_grad_(requires_grad=False)

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
        mixer: Mixer | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Hidden states after the final norm, in the compute dtype.

        `positions` restart wherever the caller wants them to (packed rows); default: columns. `segments` default to 0. A
        mixer knows by itself who sees whom; without one, places see their own row as `mask` says.
        """
        assert mixer is None or mask is None, "a mixer brings its own rules of sight"
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        sight = self.sight(mask or MaskSpec(), positions, mixer=mixer)
        return self.through(self.embedded(ids, positions, segments), sight)

    def through(self, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
        """The second part of `forward`: embeddings through all blocks and the final norm."""
        for block in self.blocks:
            x = block(x, sight)
        out: Tensor = self.norm(x)
        return out

    def before_head(self, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """What the output matrix reads: the hidden states themselves, or their transform."""
        return hidden if self.transform is None else self.transform(hidden)

    def head(self, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Logits, in the dtype of `hidden`."""
        return self.head_product(self.before_head(hidden), (self.head_weight,), (self.head_bias,))

    def logits(self, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Logits in float32 whatever the model computes in: in bf16 the best tokens would often tie."""
        ready = self.before_head(hidden)
        if self.logit_product is not None:
            return self.logit_product(ready, (self.head_weight,), (self.head_bias,))
        return self.head_product(ready.float(), (self.head_weight,), (self.head_bias,))

    def classify(self, pooled: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Scores of the classes, from what stands for each sequence (model/heads)."""
        assert self.classifier is not None, "the model was built without classes"
        out: Tensor = self.classifier(self.before_head(pooled) if self.pooler is None else self.pooler(pooled))
        return out

    def embedded(self, ids: Tensor, positions: Tensor, segments: Tensor | None = None) -> Float[Tensor, "b t d"]:
        """What enters the first block."""
        x = self.embed(ids)  # b t d
        if self.places is not None:
            x = x + self.places(positions)
        if self.segments is not None:
            x = x + self.segments(torch.zeros_like(ids) if segments is None else segments)
        out: Tensor = self.drop(self.embed_norm(x.to(self.compute_dtype)))
        return out

    def sight(self, spec: MaskSpec, positions: Tensor, *, mixer: Mixer | None) -> Sight:
        """One mask and one turn for each way that layers of this model see."""
        masks: dict[int | None, Any] = {}
        if mixer is None:
            attend = build_attend(self.backend, device=positions.device, dtype=self.compute_dtype)
            masks = {view.window: self._mask(attend, spec, view, num_queries=positions.shape[1]) for view in self.views}
            mixer = _Within(attend)
        turns = {table: self._turn(table, positions) for table in self._tables.values()}
        looks = tuple(Look(turns.get(self._tables.get(view[1:], "")), masks.get(view.window)) for view in self.views)
        return Sight(looks, mixer)

    def _mask(self, attend: Attend, spec: MaskSpec, view: View, *, num_queries: int) -> Any:  # noqa: ANN401
        config, device = self.config, self.head_weight.device
        windows = [window for window in (spec.window, view.window) if window is not None]
        causal = config.causal if spec.causal is None else spec.causal
        rules = replace(spec, causal=causal, window=min(windows, default=None))
        scene = Scene(rules, num_queries, device)
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
