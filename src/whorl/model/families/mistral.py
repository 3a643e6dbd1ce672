"""model/families/mistral: llama in which every layer looks back at a window only; information travels on from layer to layer.

The layout of MistralForCausalLM, https://arxiv.org/abs/2310.06825. Does not alternate windowed and full layers.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_layout, refuse, wanted, window_clash
from whorl.model.layout import Layout

__all__ = ["Mistral"]


class Mistral(RotaryDecoder):
    """Mistral 7B and its successors of the same layout; those from v0.2 on have no window."""

    model_type: ClassVar[str] = "mistral"
    architecture: ClassVar[str] = "MistralForCausalLM"
    layout: ClassVar[Layout] = decoder_layout()
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | {"windows"}
    absent: ClassVar[Mapping[str, object]] = {"num_key_value_heads": 8, "sliding_window": 4096}

    norm_eps: float = 1e-5
    window: int | None = Field(default=4096, ge=1)  # positions, the own one included; as in Mistral 7B v0.1

    def own_axes(self) -> dict[str, Any]:
        """The window, in every layer."""
        return _windows(self.window, self.depth)

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """One window, or none, for all layers."""
        return window_clash(config, in_every_layer=True)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The window."""
        return {"sliding_window": config.windows[0] if config.windows else None}

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The window; kinds of layers belong to other model types."""
        refuse(fields, {"layer_types": (None,), "attention_bias": (False,), "mlp_bias": (False,)})
        return _windows(fields["sliding_window"], wanted(fields, "num_hidden_layers"))


def _windows(window: int | None, depth: int) -> dict[str, Any]:
    return {"windows": () if window is None else (window,) * depth}
