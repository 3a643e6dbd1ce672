"""model/families/qwen3: llama with a norm on every query and key head, which keeps attention tame at high learning rates.

The layout of Qwen3ForCausalLM, https://arxiv.org/abs/2505.09388. Does not use sliding windows.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import Activation, ModelConfig
from whorl.model.dials import head_dim_for, heads_for
from whorl.model.families import Family
from whorl.model.hub import DECODER_KEYS, decoder_axes, decoder_fields

__all__ = ["Qwen3"]


class Qwen3(Family):
    """Qwen 3, dense."""

    model_type: ClassVar[str] = "qwen3"
    architecture: ClassVar[str] = "Qwen3ForCausalLM"
    keys: ClassVar[Mapping[str, str]] = {
        **DECODER_KEYS,
        "blocks.{}.attn.q_norm.weight": "model.layers.{}.self_attn.q_norm.weight",
        "blocks.{}.attn.k_norm.weight": "model.layers.{}.self_attn.k_norm.weight",
    }

    head_dim: int | None = None  # default: width / heads, or 64 (128 from width 1024 on)
    kv_heads: int | None = None  # default: heads; sharing keys pays when the cache outgrows the weights
    activation: Activation = "silu"
    norm_eps: float = 1e-6
    rope_theta: float = 10_000.0  # right for contexts of a few thousand; longer ones want more

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """Dials to axes."""
        width, mlp_width = self.shape()
        head_dim = self.head_dim or (width // self.heads if self.heads else head_dim_for(width))
        heads = self.heads or heads_for(width, head_dim)
        return ModelConfig(
            vocab_size=vocab_size,
            width=width,
            depth=self.depth,
            heads=heads,
            kv_heads=self.kv_heads or heads,
            head_dim=head_dim,
            mlp_width=mlp_width,
            max_positions=max_positions,
            activation=self.activation,
            norm_eps=self.norm_eps,
            qk_norm=True,
            rope_theta=self.rope_theta,
            tied=self.tied,
            init_std=self.init_std,
            zero_outputs=self.zero_outputs,
        )

    @classmethod
    def misfit(cls, config: ModelConfig) -> str | None:
        """Norms on queries and keys are part of it; plain feed-forward and two-way sight have no place here."""
        if not config.qk_norm:
            return "qk_norm=False"
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
        return ModelConfig.model_validate({**decoder_axes(fields), "qk_norm": True})
