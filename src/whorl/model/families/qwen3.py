"""model/families/qwen3: llama with a norm on every query and key head, which keeps attention tame at high learning rates.

The layout of Qwen3ForCausalLM, https://arxiv.org/abs/2505.09388.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import (
    bias_axes,
    bias_clash,
    decoder_layout,
    refuse,
    upper_windows,
    window_axes,
    window_clash,
    window_fields,
)
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
        return {"windows": upper_windows(self.window, full_layers=self.full_layers, depth=self.depth)}

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Attention has all its biases or none; all windows are of one size."""
        return bias_clash(config) or window_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The biases and the windows."""
        return {"attention_bias": config.attn_bias, **window_fields(config)}

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The biases and the windows."""
        refuse(fields, {"mlp_bias": (False,)})
        return {**bias_axes(fields), **window_axes(fields)}
