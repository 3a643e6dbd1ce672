"""model/families/qwen3: llama with a norm on every query and key head, which keeps attention tame at high learning rates.

The layout of Qwen3ForCausalLM, https://arxiv.org/abs/2505.09388. Does not use sliding windows.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_axes, decoder_fields, decoder_layout
from whorl.model.layout import Layout

__all__ = ["Qwen3"]


class Qwen3(RotaryDecoder):
    """Qwen 3, dense."""

    model_type: ClassVar[str] = "qwen3"
    architecture: ClassVar[str] = "Qwen3ForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(
        {
            "blocks.{}.attn.q_norm.weight": "model.layers.{}.self_attn.q_norm.weight",
            "blocks.{}.attn.k_norm.weight": "model.layers.{}.self_attn.k_norm.weight",
        }
    )

    norm_eps: float = 1e-6

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """See Family.configure."""
        return self.axes(vocab_size, max_positions, qk_norm=True)

    @classmethod
    def misfit(cls, config: ModelConfig) -> str | None:
        """Norms on queries and keys are part of it; plain feed-forward and two-way sight have no place here."""
        if config.qk_norm != "head":
            return f"qk_norm={config.qk_norm}"
        if not config.gated:
            return "gated=False"
        return None if config.causal else "causal=False"

    @classmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json."""
        cls.require_fit(config)
        return {
            "model_type": cls.model_type,
            "architectures": [cls.architecture],
            **decoder_fields(config),
            "use_sliding_window": False,
        }

    @classmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture of a public config.json."""
        return ModelConfig.model_validate({**decoder_axes(fields), "qk_norm": "head"})
