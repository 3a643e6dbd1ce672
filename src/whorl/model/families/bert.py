"""model/families/bert: learned places, two segments, a norm after every addition, biases everywhere; looks both ways.

The layouts of BertForMaskedLM, BertForPreTraining (with next_sentence) and BertForSequenceClassification (with classes),
https://arxiv.org/abs/1810.04805. Does not decode, look at another sequence, or take relative positions, as its variants do.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from whorl.core.errors import DataError
from whorl.model.config import Activation, ModelConfig
from whorl.model.encoder import class_fields, head_axes, head_clash, num_classes, stated_heads, with_bias
from whorl.model.families import SHAPE, Family
from whorl.model.hub import activation_name, built, known_activation, refuse, wanted
from whorl.model.layout import Layout

__all__ = ["Bert"]

_LAYER = "bert.encoder.layer.{}"
_POOLER, _PAIRS = {"pooler.dense": "bert.pooler.dense"}, {"classifier": "cls.seq_relationship"}
_LAYOUT = Layout(
    {
        "embed.weight": "bert.embeddings.word_embeddings.weight",
        "places.weight": "bert.embeddings.position_embeddings.weight",
        "segments.weight": "bert.embeddings.token_type_embeddings.weight",
        "head_bias": "cls.predictions.bias",
        **with_bias(
            {
                "embed_norm": "bert.embeddings.LayerNorm",
                "blocks.{}.attn.q": f"{_LAYER}.attention.self.query",
                "blocks.{}.attn.k": f"{_LAYER}.attention.self.key",
                "blocks.{}.attn.v": f"{_LAYER}.attention.self.value",
                "blocks.{}.attn.o": f"{_LAYER}.attention.output.dense",
                "blocks.{}.attn_norm": f"{_LAYER}.attention.output.LayerNorm",
                "blocks.{}.mlp.up": f"{_LAYER}.intermediate.dense",
                "blocks.{}.mlp.down": f"{_LAYER}.output.dense",
                "blocks.{}.mlp_norm": f"{_LAYER}.output.LayerNorm",
                "transform.dense": "cls.predictions.transform.dense",
                "transform.norm": "cls.predictions.transform.LayerNorm",
                **_POOLER,
                **_PAIRS,
            }
        ),
    },
    prefix="bert.",
    copies={"cls.predictions.decoder.weight": "embed.weight", "cls.predictions.decoder.bias": "head_bias"},
    ignored=("bert.embeddings.position_ids",),
    renamed={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
)
# What one class of the peer holds and another has no use for, although files of either kind may come under its name.
_UNUSED = {
    "BertForMaskedLM": (*with_bias(_POOLER).values(), *with_bias(_PAIRS).values()),
    "BertForPreTraining": (),
    "BertForSequenceClassification": (),
}

# What the heads of each class are; the numbers of classes apart.
_FILLS = {"head_transform": True, "head_transform_bias": True, "head_bias": True}
_POOLS = {"pooler": "first", "pooler_dense": True}
_HEADS: Mapping[str, Mapping[str, object]] = {
    "BertForMaskedLM": _FILLS,
    "BertForPreTraining": _FILLS | _POOLS,
    "BertForSequenceClassification": _POOLS,
}
_NO_HEADS = {"head_transform": False, "head_transform_bias": False, "head_bias": False, "pooler": "none", "pooler_dense": False}

# Fields that must hold one of these values; absent counts as the first.
_ONLY: Mapping[str, tuple[object, ...]] = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "tie_word_embeddings": (True,),
}


class Bert(Family):
    """BERT. Fresh ones fill gaps; with `next_sentence` they judge pairs too, with `classes` they only classify."""

    model_type: ClassVar[str] = "bert"
    architecture: ClassVar[str] = "BertForMaskedLM"
    layout: ClassVar[Layout] = _LAYOUT
    free: ClassVar[frozenset[str]] = (SHAPE - {"tied"}) | {"kv_heads", "head_dim", "segments", "classes", *_NO_HEADS}
    fixed: ClassVar[Mapping[str, object]] = {
        "causal": False,
        "positions": "learned",
        "norm": "layer",
        "norm_at": "post",
        "embed_norm": True,
        "final_norm": False,
        "gated": False,
        **dict.fromkeys(("norm_bias", "attn_bias", "out_bias", "mlp_bias"), True),
    }

    activation: Activation = "gelu"
    norm_eps: float = Field(default=1e-12, gt=0)
    segments: int = Field(default=2, ge=1)
    next_sentence: bool = False  # with a head that tells whether one segment follows the other, for objective next_sentence
    classes: int = Field(default=0, ge=0)  # of whole sequences, in place of a vocabulary to fill gaps from; 0: none
    zero_outputs: bool = False  # behind a norm of the sum a block is no identity anyway

    @model_validator(mode="after")
    def _one_head(self) -> Self:
        if self.next_sentence and self.classes:
            raise ValueError(f"next_sentence is trained while gaps are filled; with classes={self.classes} leave it out")
        return self

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """See Family.configure."""
        width, _ = self.shape()
        gaps_and_pairs = "BertForPreTraining" if self.next_sentence else "BertForMaskedLM"
        axes = {
            "vocab_size": vocab_size,
            "max_positions": max_positions,
            "depth": self.depth,
            "width": width,
            "mlp_width": self.mlp_width or 4 * width,
            "activation": self.activation,
            "norm_eps": self.norm_eps,
            "segments": self.segments,
            "init_std": self.init_std,
            "zero_outputs": self.zero_outputs,
            "classes": self.classes or 2 * self.next_sentence,
        }
        heads = _HEADS["BertForSequenceClassification" if self.classes else gaps_and_pairs]
        return ModelConfig.model_validate({**axes, "tied": self.tied, **head_axes(width, self.heads), **heads, **self.fixed})

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Heads fill the width, some class of the peer has these answers, and there is a segment to be in."""
        if _class_of(config) is None:
            return f"head_transform={config.head_transform}, pooler={config.pooler}, classes={config.classes} together"
        return head_clash(config) if config.segments else "segments=0"

    @classmethod
    def layout_of(cls, config: ModelConfig) -> Layout:
        """See Family.layout_of."""
        kind = _class_of(config)
        if kind == "BertForSequenceClassification":
            return replace(_LAYOUT, keys={**_LAYOUT.keys, **with_bias({"classifier": "classifier"})})
        return replace(_LAYOUT, ignored=(*_LAYOUT.ignored, *_UNUSED[kind or cls.architecture]))

    @classmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json."""
        cls.require_fit(config)
        kind = _class_of(config)
        return {
            "model_type": cls.model_type,
            "architectures": [kind],
            "vocab_size": config.vocab_size,
            "hidden_size": config.width,
            "num_hidden_layers": config.depth,
            "num_attention_heads": config.heads,
            "intermediate_size": config.mlp_width,
            "hidden_act": activation_name(config.activation),
            "max_position_embeddings": config.max_positions,
            "type_vocab_size": config.segments,
            "layer_norm_eps": config.norm_eps,
            "initializer_range": config.init_std,
            "tie_word_embeddings": True,
            **(class_fields(config.classes) if kind == "BertForSequenceClassification" else {}),
        }

    @classmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture of a public config.json."""
        refuse(fields, _ONLY)
        kind = (fields.get("architectures") or [cls.architecture])[0]
        if kind not in _HEADS:
            raise DataError(f"config.json: architectures=['{kind}'] is not supported; known: {', '.join(_HEADS)}")
        classes = {"BertForPreTraining": 2, "BertForSequenceClassification": num_classes(fields)}.get(kind, 0)
        axes = {
            "vocab_size": wanted(fields, "vocab_size"),
            "max_positions": wanted(fields, "max_position_embeddings"),
            "depth": wanted(fields, "num_hidden_layers"),
            "mlp_width": wanted(fields, "intermediate_size"),
            "activation": known_activation(fields.get("hidden_act", "gelu")),
            "norm_eps": fields.get("layer_norm_eps", 1e-12),
            "segments": fields.get("type_vocab_size", 2),
            "init_std": fields.get("initializer_range", 0.02),
            "zero_outputs": False,
            "classes": classes,
        }
        return built({**axes, **stated_heads(fields), **_HEADS[kind], **cls.fixed})


def _class_of(config: ModelConfig) -> str | None:
    """The class of the peer whose heads these are."""
    axes = dict(config)
    found = {name: axes[name] for name in _NO_HEADS}
    for kind, heads in _HEADS.items():
        wants_classes = {"BertForMaskedLM": config.classes == 0, "BertForPreTraining": config.classes == 2}
        if found == {**_NO_HEADS, **heads} and wants_classes.get(kind, config.classes > 0):
            return kind
    return None
