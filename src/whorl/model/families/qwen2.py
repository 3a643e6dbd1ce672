"""model/families/qwen2: llama with biases on queries, keys and values, and windows in the layers above a given one.

The layout of Qwen2ForCausalLM, https://arxiv.org/abs/2407.10671.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_layout, refuse, upper_windows, window_axes, window_clash, window_fields
from whorl.model.layout import Layout

__all__ = ["Qwen2"]

_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
_SPLIT = _LETTERS + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class Qwen2(RotaryDecoder):
    """Qwen 2 and 2.5, dense."""

    model_type: ClassVar[str] = "qwen2"
    architecture: ClassVar[str] = "Qwen2ForCausalLM"
    layout: ClassVar[Layout] = decoder_layout()
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | {"windows"}
    fixed: ClassVar[Mapping[str, object]] = {"attn_bias": True}
    absent: ClassVar[Mapping[str, object]] = {"num_key_value_heads": 32}
    split: ClassVar[str | None] = _SPLIT

    norm_eps: float = 1e-6
    window: int | None = Field(default=None, ge=1)  # positions, the own one included, that upper layers see; default: all
    full_layers: int = Field(default=0, ge=0)  # layers below the first with a window

    def own_axes(self) -> dict[str, Any]:
        """Full layers, then windowed ones."""
        return {"windows": upper_windows(self.window, full_layers=self.full_layers, depth=self.depth)}

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """All windows are of one size."""
        return window_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The windows."""
        return window_fields(config)

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The windows; the biases are what they are."""
        refuse(fields, {"attention_bias": (True,), "mlp_bias": (False,)})
        return window_axes(fields)
