"""model/families/qwen3: llama with a norm on every query and key head, which keeps attention tame at high learning rates.

The layout of Qwen3ForCausalLM, https://arxiv.org/abs/2505.09388.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_layout, refuse, window_axes, window_fields
from whorl.model.layout import Layout

__all__ = ["Qwen3"]


class Qwen3(RotaryDecoder):
    """Qwen 3, dense."""

    model_type: ClassVar[str] = "qwen3"
    architecture: ClassVar[str] = "Qwen3ForCausalLM"
    layout: ClassVar[Layout] = decoder_layout()
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | {"windows", "attn_bias", "out_bias"}
    fixed: ClassVar[Mapping[str, object]] = {"qk_norm": "head"}
    absent: ClassVar[Mapping[str, object]] = {"num_key_value_heads": 32, "head_dim": 128}

    norm_eps: float = 1e-6
    window: int | None = Field(default=None, ge=1)  # positions, the own one included, that upper layers see; default: all
    full_layers: int = Field(default=0, ge=0)  # layers below the first with a window

    def own_axes(self) -> dict[str, Any]:
        """Full layers, then windowed ones."""
        windows = tuple(self.window if layer >= self.full_layers else None for layer in range(self.depth))
        return {"windows": windows if any(windows) else ()}

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Attention has all its biases or none; all windows are of one size."""
        if config.attn_bias != config.out_bias:
            return f"attn_bias={config.attn_bias} with out_bias={config.out_bias}"
        return f"windows={config.windows}" if len(set(config.windows) - {None}) > 1 else None

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The biases and the windows."""
        return {"attention_bias": config.attn_bias, **window_fields(config)}

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The biases and the windows."""
        refuse(fields, {"mlp_bias": (False,)})
        bias = fields.get("attention_bias", False)
        return {"attn_bias": bias, "out_bias": bias, **window_axes(fields)}
