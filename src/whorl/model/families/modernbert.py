"""model/families/modernbert: rotary positions, norms before, gated feed-forward, most layers looking nearby only, both ways.

The layouts of ModernBertForMaskedLM and, with classes, ModernBertForSequenceClassification, https://arxiv.org/abs/2412.13663.
Queries, keys and values stand in one matrix there, and so do gate and up. Does not tell segments apart.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from whorl.core.errors import DataError
from whorl.model.config import Activation, ModelConfig
from whorl.model.dials import MULTIPLE
from whorl.model.encoder import class_fields, head_axes, head_clash, num_classes, stated_heads, with_bias
from whorl.model.families import SHAPE, Family
from whorl.model.hub import activation_name, built, known_activation, refuse, wanted
from whorl.model.layout import Layout, Stored

__all__ = ["ModernBert"]

_LAYER = "model.layers.{}"
_ENDS = ("weight", "bias")
_LAYOUT = Layout(
    {
        "embed.weight": "model.embeddings.tok_embeddings.weight",
        "unembed.weight": "decoder.weight",
        "head_bias": "decoder.bias",
        **with_bias(
            {
                "embed_norm": "model.embeddings.norm",
                "blocks.{}.attn_norm": f"{_LAYER}.attn_norm",
                "blocks.{}.attn.o": f"{_LAYER}.attn.Wo",
                "blocks.{}.mlp_norm": f"{_LAYER}.mlp_norm",
                "blocks.{}.mlp.down": f"{_LAYER}.mlp.Wo",
                "norm": "model.final_norm",
                "transform.dense": "head.dense",
                "transform.norm": "head.norm",
                "classifier": "classifier",
            }
        ),
        **{
            f"blocks.{{}}.{ours}.{end}": Stored(f"{_LAYER}.{public}.{end}", part=part)
            for public, joined in {"attn.Wqkv": ("attn.q", "attn.k", "attn.v"), "mlp.Wi": ("mlp.gate", "mlp.up")}.items()
            for part, ours in enumerate(joined)
            for end in _ENDS
        },
    },
    prefix="model.",
    copies={"decoder.weight": "embed.weight"},
)

_STATED = ("windows", "rope_theta", "local_theta", "norm_bias", "attn_bias", "out_bias", "mlp_bias")
_HEADS = ("head_transform_bias", "head_bias", "classes", "pooler")
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"
_POOLERS: Mapping[str, Literal["first", "mean"]] = {"cls": "first", "mean": "mean"}


class ModernBert(Family):
    """ModernBERT. Fresh ones fill gaps; with `classes` they classify whole sequences."""

    model_type: ClassVar[str] = "modernbert"
    architecture: ClassVar[str] = "ModernBertForMaskedLM"
    layout: ClassVar[Layout] = _LAYOUT
    free: ClassVar[frozenset[str]] = SHAPE | {"kv_heads", "head_dim", *_STATED, *_HEADS}
    fixed: ClassVar[Mapping[str, object]] = {
        "causal": False,
        "norm": "layer",
        "embed_norm": True,
        "first_norm": False,
        "head_transform": True,
    }

    mlp_width: int | None = None  # default: 3/2 of the width, rounded up to a multiple of 64
    activation: Activation = "gelu"
    norm_eps: float = Field(default=1e-5, gt=0)
    global_every: int = Field(default=3, ge=1)  # layers 0, this, twice this ... see everything
    window: int = Field(default=128, ge=2, multiple_of=2)  # the others: half of it to each side, and their own place
    rope_theta: float = Field(default=160_000.0, gt=1)
    local_theta: float = Field(default=10_000.0, gt=1)  # of layers that see their window only
    classes: int = Field(default=0, ge=0)  # of whole sequences, in place of a vocabulary to fill gaps from; 0: none
    pooler: Literal["first", "mean"] = "mean"  # what classes are told from; the first place sees little in local layers

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """See Family.configure."""
        width, _ = self.shape()
        axes = {
            "vocab_size": vocab_size,
            "max_positions": max_positions,
            "depth": self.depth,
            "width": width,
            "mlp_width": self.mlp_width or -(-3 * width // (2 * MULTIPLE)) * MULTIPLE,
            "activation": self.activation,
            "norm_eps": self.norm_eps,
            "windows": tuple(self.window // 2 + 1 if layer % self.global_every else None for layer in range(self.depth)),
            "rope_theta": self.rope_theta,
            "local_theta": self.local_theta,
            "tied": self.tied or self.classes > 0,
            "head_bias": not self.classes,
            "classes": self.classes,
            "pooler": self.pooler if self.classes else "none",
            "init_std": self.init_std,
            "zero_outputs": self.zero_outputs,
        }
        return ModelConfig.model_validate({**axes, **head_axes(width, self.heads), **self.fixed})

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Heads fill the width, all local layers see as much, biases of attention go together, and so do answers."""
        if len({window for window in config.windows if window is not None}) > 1 or 1 in config.windows:
            return f"windows={config.windows}"
        if config.attn_bias != config.out_bias:
            return f"out_bias={config.out_bias} with attn_bias={config.attn_bias}"
        if config.classes and (config.head_bias or not config.tied):
            return f"head_bias={config.head_bias}, tied={config.tied} with classes={config.classes}"
        if config.pooler != "none" and not config.classes:
            return f"pooler={config.pooler} with classes=0"
        return head_clash(config)

    @classmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json. Patterns and rope are written as old and new transformers read them."""
        cls.require_fit(config)
        kinds = [_GLOBAL if config.view(layer).window is None else _LOCAL for layer in range(config.depth)]
        window = next((window for window in config.windows if window is not None), 65)
        local_theta = config.local_theta or config.rope_theta
        thetas = {_GLOBAL: config.rope_theta, _LOCAL: local_theta}
        heads = {"classifier_pooling": "cls" if config.pooler == "first" else "mean", **class_fields(config.classes)}
        return {
            "model_type": cls.model_type,
            "architectures": ["ModernBertForSequenceClassification" if config.classes else cls.architecture],
            "vocab_size": config.vocab_size,
            "hidden_size": config.width,
            "num_hidden_layers": config.depth,
            "num_attention_heads": config.heads,
            "intermediate_size": config.mlp_width,
            "hidden_activation": activation_name(config.activation),
            "classifier_activation": activation_name(config.activation),
            "max_position_embeddings": config.max_positions,
            "norm_eps": config.norm_eps,
            "norm_bias": config.norm_bias,
            "attention_bias": config.attn_bias,
            "mlp_bias": config.mlp_bias,
            "classifier_bias": config.head_transform_bias,
            "decoder_bias": config.head_bias,
            "layer_types": kinds,
            "local_attention": 2 * (window - 1),
            "global_rope_theta": config.rope_theta,
            "local_rope_theta": local_theta,
            "rope_parameters": {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in thetas.items()},
            "initializer_range": config.init_std,
            "tie_word_embeddings": config.tied,
            **dict.fromkeys(("cls_token_id", "sep_token_id")),  # null: transformers would take those of its own vocabulary
            **(heads if config.classes else {}),
        }

    @classmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture of a public config.json."""
        refuse(fields, {})
        classes = _classes(fields)
        depth = wanted(fields, "num_hidden_layers")
        thetas = _thetas(fields)
        axes = {
            "vocab_size": wanted(fields, "vocab_size"),
            "max_positions": wanted(fields, "max_position_embeddings"),
            "depth": depth,
            "mlp_width": wanted(fields, "intermediate_size"),
            "activation": _activation(fields),
            "norm_eps": fields.get("norm_eps", 1e-5),
            "norm_bias": fields.get("norm_bias", False),
            "attn_bias": fields.get("attention_bias", False),
            "out_bias": fields.get("attention_bias", False),
            "mlp_bias": fields.get("mlp_bias", False),
            "windows": _windows(fields, depth),
            "rope_theta": thetas[_GLOBAL],
            "local_theta": thetas[_LOCAL],
            "tied": fields.get("tie_word_embeddings", True) or classes > 0,
            "head_transform_bias": fields.get("classifier_bias", False),
            "head_bias": fields.get("decoder_bias", True) and not classes,
            "classes": classes,
            "pooler": _pooler(fields) if classes else "none",
            "init_std": fields.get("initializer_range", 0.02),
        }
        return built({**axes, **stated_heads(fields), **cls.fixed})


def _classes(fields: Mapping[str, Any]) -> int:
    kind = (fields.get("architectures") or [ModernBert.architecture])[0]
    if kind == "ModernBertForSequenceClassification":
        return num_classes(fields)
    if kind != ModernBert.architecture:
        known = f"{ModernBert.architecture}, ModernBertForSequenceClassification"
        raise DataError(f"config.json: architectures=['{kind}'] is not supported; known: {known}")
    return 0


def _pooler(fields: Mapping[str, Any]) -> Literal["first", "mean"]:
    said = fields.get("classifier_pooling", "cls")
    if said not in _POOLERS:
        raise DataError(f"config.json: classifier_pooling={said!r} is not supported; known: {', '.join(_POOLERS)}")
    return _POOLERS[said]


def _activation(fields: Mapping[str, Any]) -> Activation:
    """One for the blocks and the head; the peer could have two."""
    found = known_activation(fields.get("hidden_activation", "gelu"), field="hidden_activation")
    if known_activation(fields.get("classifier_activation", "gelu")) != found:
        raise DataError(
            f"config.json: classifier_activation={fields.get('classifier_activation', 'gelu')!r} is not supported with "
            f"hidden_activation={fields.get('hidden_activation', 'gelu')!r}; want the same"
        )
    return found


def _windows(fields: Mapping[str, Any], depth: int) -> tuple[int | None, ...]:
    """Half of `local_attention` is seen to each side; older files give the pattern as a number."""
    window = int(fields.get("local_attention", 128)) // 2 + 1
    every = fields.get("global_attn_every_n_layers", 3)
    kinds = fields.get("layer_types") or [_LOCAL if layer % every else _GLOBAL for layer in range(depth)]
    strange = sorted(set(kinds) - {_LOCAL, _GLOBAL})
    if strange or len(kinds) != depth:
        raise DataError(f"config.json: layer_types={kinds}; want {depth} of {_LOCAL} and {_GLOBAL}")
    return tuple(window if kind == _LOCAL else None for kind in kinds)


def _thetas(fields: Mapping[str, Any]) -> dict[str, float]:
    """Of each kind of layer, as new files say it, else as old ones do, else the published ones."""
    defaults = {_GLOBAL: ("global_rope_theta", 160_000.0), _LOCAL: ("local_rope_theta", 10_000.0)}
    said, found = fields.get("rope_parameters") or {}, {}
    strange = sorted(set(said) - {_GLOBAL, _LOCAL})
    if strange:
        raise DataError(f"config.json: rope_parameters of {', '.join(strange)} are not supported; known: {_GLOBAL}, {_LOCAL}")
    for kind, (old, default) in defaults.items():
        rope = said.get(kind) or {}
        if rope.get("rope_type", "default") != "default":
            raise DataError(f"config.json: rope_type='{rope['rope_type']}' is not supported; want 'default'")
        found[kind] = float(rope.get("rope_theta", fields.get(old, default)))
    return found
