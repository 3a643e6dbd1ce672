"""model/families/llama: rotary positions, RMSNorm, gated feed-forward, grouped queries, no biases.

The layout of LlamaForCausalLM, https://arxiv.org/abs/2302.13971. Does not scale rotary positions.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from whorl.model.config import Activation, ModelConfig
from whorl.model.dials import head_dim_for, heads_for
from whorl.model.families import Family
from whorl.model.hub import DECODER_KEYS, decoder_axes, decoder_fields

__all__ = ["Llama"]


class Llama(Family):
    """Llama 2 and 3 without rope scaling."""

    model_type: ClassVar[str] = "llama"
    architecture: ClassVar[str] = "LlamaForCausalLM"
    keys: ClassVar[Mapping[str, str]] = DECODER_KEYS

    head_dim: int | None = None  # default: width / heads, or 64 (128 from width 1024 on)
    kv_heads: int | None = None  # default: heads; sharing keys pays when the cache outgrows the weights
    activation: Activation = "silu"
    norm_eps: float = 1e-5
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
            rope_theta=self.rope_theta,
            tied=self.tied,
            init_std=self.init_std,
            zero_outputs=self.zero_outputs,
        )

    @classmethod
    def misfit(cls, config: ModelConfig) -> str | None:
        """Norms on queries and keys, plain feed-forward and two-way sight have no place here."""
        if config.qk_norm:
            return "qk_norm=True"
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
