"""model/config: the architecture as flat axes; every field changes what the network computes or how it starts.

A config is what a family's dials or a public config.json resolve to. Holds nothing about data, devices, precision or
training.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from whorl.core.config import Config

__all__ = ["Activation", "ModelConfig"]

Activation = Literal["silu", "relu2", "gelu", "gelu_tanh"]


class ModelConfig(Config):
    """One architecture. Modules are resolved from it once, when a Transformer is built."""

    vocab_size: int = Field(ge=1)
    width: int = Field(ge=1)  # channels of the residual stream
    depth: int = Field(ge=1)  # number of blocks
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)  # fewer than heads: grouped queries, https://arxiv.org/abs/2305.13245
    head_dim: int = Field(ge=2)  # need not be width / heads
    mlp_width: int = Field(ge=1)
    max_positions: int = Field(ge=1)  # longest sequence the position tables cover
    activation: Activation = "silu"
    gated: bool = True  # down(act(gate x) * up x) instead of down(act(up x)), https://arxiv.org/abs/2002.05202
    norm_eps: float = Field(default=1e-5, gt=0)  # RMSNorm
    qk_norm: bool = False  # RMSNorm over the channels of each query and key head, with learned weights
    rope_theta: float = Field(default=10_000.0, gt=1)  # longest wavelength of the rotary positions, in units of 2 pi
    tied: bool = True  # the output matrix is the embedding
    causal: bool = True  # the mask used where the caller gives none
    init_std: float = Field(default=0.02, gt=0)  # normal initialisation of every matrix
    zero_outputs: bool = True  # matrices that write into the residual stream start at zero, https://arxiv.org/abs/2203.03466

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads={self.heads} is not a multiple of kv_heads={self.kv_heads}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim}: rotary positions turn pairs of channels; want an even number")
        return self
