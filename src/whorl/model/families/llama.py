"""model/families/llama: rotary positions, RMSNorm, gated feed-forward, grouped queries, no biases.

The layout of LlamaForCausalLM, https://arxiv.org/abs/2302.13971. Does not scale rotary positions.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import ModelConfig
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_axes, decoder_fields, decoder_layout
from whorl.model.layout import Layout

__all__ = ["Llama"]


class Llama(RotaryDecoder):
    """Llama 2 and 3 without rope scaling."""

    model_type: ClassVar[str] = "llama"
    architecture: ClassVar[str] = "LlamaForCausalLM"
    layout: ClassVar[Layout] = decoder_layout()

    norm_eps: float = 1e-5

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """See Family.configure."""
        return self.axes(vocab_size, max_positions, qk_norm=False)

    @classmethod
    def misfit(cls, config: ModelConfig) -> str | None:
        """Norms on queries and keys, plain feed-forward and two-way sight have no place here."""
        if config.qk_norm != "none":
            return f"qk_norm={config.qk_norm}"
        if not config.gated:
            return "gated=False"
        return None if config.causal else "causal=False"

    @classmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json."""
        cls.require_fit(config)
        return {"model_type": cls.model_type, "architectures": [cls.architecture], **decoder_fields(config), "mlp_bias": False}

    @classmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture of a public config.json."""
        return ModelConfig.model_validate(decoder_axes(fields))
