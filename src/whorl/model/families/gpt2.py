"""model/families/gpt2: learned positions, layer norms, a plain feed-forward of four times the width, biases everywhere.

The layout of GPT2LMHeadModel: matrices are stored (in, out), and queries, keys and values as one.
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import Activation, ModelConfig
from whorl.model.dials import head_dim_for, heads_for
from whorl.model.families import SHAPE, Family
from whorl.model.hub import activation_name, known_activation, refuse, wanted
from whorl.model.layout import Layout, Stored

__all__ = ["GPT2"]

_QKV = "transformer.h.{}.attn.c_attn"
_KEYS: Mapping[str, str | Stored] = {
    "embed.weight": "transformer.wte.weight",
    "places.weight": "transformer.wpe.weight",
    "blocks.{}.attn_norm.weight": "transformer.h.{}.ln_1.weight",
    "blocks.{}.attn_norm.bias": "transformer.h.{}.ln_1.bias",
    "blocks.{}.attn.q.weight": Stored(f"{_QKV}.weight", flipped=True, part=0),
    "blocks.{}.attn.k.weight": Stored(f"{_QKV}.weight", flipped=True, part=1),
    "blocks.{}.attn.v.weight": Stored(f"{_QKV}.weight", flipped=True, part=2),
    "blocks.{}.attn.q.bias": Stored(f"{_QKV}.bias", part=0),
    "blocks.{}.attn.k.bias": Stored(f"{_QKV}.bias", part=1),
    "blocks.{}.attn.v.bias": Stored(f"{_QKV}.bias", part=2),
    "blocks.{}.attn.o.weight": Stored("transformer.h.{}.attn.c_proj.weight", flipped=True),
    "blocks.{}.attn.o.bias": "transformer.h.{}.attn.c_proj.bias",
    "blocks.{}.mlp_norm.weight": "transformer.h.{}.ln_2.weight",
    "blocks.{}.mlp_norm.bias": "transformer.h.{}.ln_2.bias",
    "blocks.{}.mlp.up.weight": Stored("transformer.h.{}.mlp.c_fc.weight", flipped=True),
    "blocks.{}.mlp.up.bias": "transformer.h.{}.mlp.c_fc.bias",
    "blocks.{}.mlp.down.weight": Stored("transformer.h.{}.mlp.c_proj.weight", flipped=True),
    "blocks.{}.mlp.down.bias": "transformer.h.{}.mlp.c_proj.bias",
    "norm.weight": "transformer.ln_f.weight",
    "norm.bias": "transformer.ln_f.bias",
    "unembed.weight": "lm_head.weight",
}
# Fields that must hold one of these values; absent counts as the first.
_ONLY: Mapping[str, tuple[object, ...]] = {"scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,)}


class GPT2(Family):
    """GPT-2, and GPT-1's descendants of the same layout."""

    model_type: ClassVar[str] = "gpt2"
    architecture: ClassVar[str] = "GPT2LMHeadModel"
    layout: ClassVar[Layout] = Layout(
        _KEYS,
        prefix="transformer.",
        copies={"lm_head.weight": "embed.weight"},
        ignored=("transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"),  # causal masks of older writers
    )
    free: ClassVar[frozenset[str]] = SHAPE | {"kv_heads", "head_dim"}
    fixed: ClassVar[Mapping[str, object]] = {
        "positions": "learned",
        "norm": "layer",
        "gated": False,
        **dict.fromkeys(("norm_bias", "attn_bias", "out_bias", "mlp_bias"), True),
    }

    activation: Activation = "gelu_tanh"
    norm_eps: float = 1e-5

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """See Family.configure. The feed-forward is four times the width unless set."""
        width, _ = self.shape()
        head_dim = width // self.heads if self.heads else head_dim_for(width)
        heads = self.heads or heads_for(width, head_dim)
        axes = {
            "vocab_size": vocab_size,
            "width": width,
            "depth": self.depth,
            "heads": heads,
            "kv_heads": heads,
            "head_dim": head_dim,
            "mlp_width": self.mlp_width or 4 * width,
            "max_positions": max_positions,
            "activation": self.activation,
            "norm_eps": self.norm_eps,
            "tied": self.tied,
            "init_std": self.init_std,
            "zero_outputs": self.zero_outputs,
        }
        return ModelConfig.model_validate({**axes, **self.fixed})

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """As many key heads as query heads, and together they are as wide as the stream."""
        if config.kv_heads != config.heads:
            return f"kv_heads={config.kv_heads} with heads={config.heads}"
        return (
            f"head_dim={config.head_dim} with heads={config.heads}" if config.head_dim * config.heads != config.width else None
        )

    @classmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json."""
        cls.require_fit(config)
        return {
            "model_type": cls.model_type,
            "architectures": [cls.architecture],
            "vocab_size": config.vocab_size,
            "n_positions": config.max_positions,
            "n_embd": config.width,
            "n_layer": config.depth,
            "n_head": config.heads,
            "n_inner": config.mlp_width,
            "activation_function": activation_name(config.activation),
            "layer_norm_epsilon": config.norm_eps,
            "tie_word_embeddings": config.tied,
            "initializer_range": config.init_std,
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        }

    @classmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture of a public config.json."""
        refuse(fields, _ONLY)
        width, heads = wanted(fields, "n_embd"), wanted(fields, "n_head")
        axes = {
            "vocab_size": wanted(fields, "vocab_size"),
            "width": width,
            "depth": wanted(fields, "n_layer"),
            "heads": heads,
            "kv_heads": heads,
            "head_dim": width // heads,
            "mlp_width": fields.get("n_inner") or 4 * width,
            "max_positions": wanted(fields, "n_positions"),
            "activation": known_activation(fields.get("activation_function", "gelu_new"), field="activation_function"),
            "norm_eps": fields.get("layer_norm_epsilon", 1e-5),
            "tied": fields.get("tie_word_embeddings", True),
            "init_std": fields.get("initializer_range", 0.02),
        }
        return cls.made(axes)
