"""model/families/olmo2: llama with norms on what blocks write instead of what they read, and on queries and keys as a whole.

The layout of Olmo2ForCausalLM, https://arxiv.org/abs/2501.00656.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import bias_axes, bias_clash, decoder_layout, refuse
from whorl.model.layout import Layout

__all__ = ["Olmo2"]


class Olmo2(RotaryDecoder):
    """OLMo 2."""

    model_type: ClassVar[str] = "olmo2"
    architecture: ClassVar[str] = "Olmo2ForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(
        {
            "blocks.{}.attn_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
            "blocks.{}.mlp_norm.weight": "model.layers.{}.post_feedforward_layernorm.weight",
        }
    )
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | {"attn_bias", "out_bias"}
    fixed: ClassVar[Mapping[str, object]] = {"qk_norm": "all", "norm_at": "output"}
    absent: ClassVar[Mapping[str, object]] = {"rms_norm_eps": 1e-5}

    norm_eps: float = 1e-6  # as in the published models
    rope_theta: float = 500_000.0  # as in the published models

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Attention has all its biases or none."""
        return bias_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The biases."""
        return {"attention_bias": config.attn_bias}

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The biases."""
        refuse(fields, {"mlp_bias": (False,)})
        return bias_axes(fields)
