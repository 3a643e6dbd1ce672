"""model/families/mixtral: mistral with a mixture of experts in every layer.

The layout of MixtralForCausalLM as published, one tensor per expert, https://arxiv.org/abs/2401.04088. Does not jitter what
routers read.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.expert_fields import EXPERT_AXES, balance_axes, balance_clash, balance_fields, loss_axes, positive
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_layout, refuse, upper_windows, wanted, window_clash
from whorl.model.layout import Layout, Stored

__all__ = ["Mixtral"]

_MIXTURE = "model.layers.{}.block_sparse_moe."


class Mixtral(RotaryDecoder):
    """`mlp_width` is the width of one expert."""

    model_type: ClassVar[str] = "mixtral"
    architecture: ClassVar[str] = "MixtralForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(
        {
            "blocks.{}.mlp.router.weight": _MIXTURE + "gate.weight",
            "blocks.{}.mlp.gates": Stored(_MIXTURE + "experts.{e}.w1.weight"),
            "blocks.{}.mlp.ups": Stored(_MIXTURE + "experts.{e}.w3.weight"),
            "blocks.{}.mlp.downs": Stored(_MIXTURE + "experts.{e}.w2.weight"),
        }
    )
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | EXPERT_AXES | {"windows"}
    absent: ClassVar[Mapping[str, object]] = {
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "router_aux_loss_coef": 0.001,
    }

    norm_eps: float = 1e-5
    window: int | None = Field(default=None, ge=1)  # positions, the own one included, that a layer sees; default: all
    experts: int = Field(default=8, ge=1)
    experts_per_token: int = Field(default=2, ge=1)
    balance_weight: float = Field(default=0.01, ge=0)  # of the balancing loss in the mean loss of a token
    router_z: float = Field(default=0.0, ge=0)

    def own_axes(self) -> dict[str, Any]:
        """The experts, and the window in every layer."""
        return {
            "experts": self.experts,
            "experts_per_token": self.experts_per_token,
            "expert_width": self.shape()[1],
            "router_z": self.router_z,
            "windows": upper_windows(self.window, full_layers=0, depth=self.depth),
            **loss_axes(self.balance_weight),
        }

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """One window, or none, for all layers; one width for every feed-forward."""
        is_other = config.experts and config.expert_width != config.mlp_width
        widths = f"expert_width={config.expert_width} with mlp_width={config.mlp_width}" if is_other else None
        return window_clash(config, in_every_layer=True) or widths or balance_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The experts and the window."""
        return {
            "num_local_experts": config.experts,
            "num_experts_per_tok": config.experts_per_token,
            "sliding_window": config.windows[0] if config.windows else None,
            "router_jitter_noise": 0.0,
            **balance_fields(config),
        }

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The experts and the window."""
        refuse(fields, {"layer_types": (None,), "attention_bias": (False,), "mlp_bias": (False,)})
        return {
            "experts": positive(fields, "num_local_experts"),
            "experts_per_token": positive(fields, "num_experts_per_tok"),
            "expert_width": wanted(fields, "intermediate_size"),
            "windows": upper_windows(fields.get("sliding_window"), full_layers=0, depth=wanted(fields, "num_hidden_layers")),
            **balance_axes(fields),
        }
