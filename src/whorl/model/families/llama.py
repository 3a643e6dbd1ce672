"""model/families/llama: rotary positions, RMSNorm, gated feed-forward, grouped queries; biases only where a config has them.

The layout of LlamaForCausalLM, https://arxiv.org/abs/2302.13971.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import bias_axes, bias_clash, decoder_layout
from whorl.model.layout import Layout

__all__ = ["Llama"]


class Llama(RotaryDecoder):
    """Llama 2 and 3."""

    model_type: ClassVar[str] = "llama"
    architecture: ClassVar[str] = "LlamaForCausalLM"
    layout: ClassVar[Layout] = decoder_layout()
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | {"attn_bias", "out_bias", "mlp_bias"}

    norm_eps: float = 1e-5

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Attention has all its biases or none; transformers wants the width to be a multiple of the heads."""
        ragged = f"width={config.width} with heads={config.heads}" if config.width % config.heads else None
        return bias_clash(config) or ragged

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The biases."""
        return {"attention_bias": config.attn_bias, "mlp_bias": config.mlp_bias}

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The biases."""
        return {**bias_axes(fields), "mlp_bias": fields.get("mlp_bias", False)}
