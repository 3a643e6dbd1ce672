"""model/families/qwen2_moe: qwen2 with many narrow experts, and one that is always used and weighted token by token.

The layout of Qwen2MoeForCausalLM as published, one tensor per expert, https://arxiv.org/abs/2407.10671.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.expert_fields import (
    EXPERT_AXES,
    EXPERT_KEYS,
    balance_axes,
    balance_clash,
    balance_fields,
    chosen_layers,
    expert_share,
    layer_axes,
    layer_fields,
    loss_axes,
    positive,
    shared_keys,
)
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_layout, refuse, upper_windows, window_axes, window_clash, window_fields
from whorl.model.layout import Layout

__all__ = ["Qwen2Moe"]


class Qwen2Moe(RotaryDecoder):
    """`mlp_width` is that of layers without experts."""

    model_type: ClassVar[str] = "qwen2_moe"
    architecture: ClassVar[str] = "Qwen2MoeForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(
        {
            **EXPERT_KEYS,
            **shared_keys("shared_expert"),
            "blocks.{}.mlp.shared_gate.weight": "model.layers.{}.mlp.shared_expert_gate.weight",
        }
    )
    free: ClassVar[frozenset[str]] = (
        RotaryDecoder.free | EXPERT_AXES | {"windows", "attn_bias", "expert_layers", "shared_width", "normalise_top"}
    )
    fixed: ClassVar[Mapping[str, object]] = {"shared_gate": True}
    absent: ClassVar[Mapping[str, object]] = {"num_key_value_heads": 16, "router_aux_loss_coef": 0.001}

    norm_eps: float = 1e-6
    window: int | None = Field(default=None, ge=1)  # positions, the own one included, that upper layers see; default: all
    full_layers: int = Field(default=0, ge=0)  # layers below the first with a window
    experts: int = Field(default=32, ge=1)
    experts_per_token: int = Field(default=4, ge=1)
    expert_width: int | None = Field(default=None, ge=1)  # default: so that a token's experts are as wide as mlp_width
    shared_width: int | None = Field(default=None, ge=1)  # default: mlp_width
    dense_layers: tuple[int, ...] = ()  # layers, from 0, whose feed-forward is not chosen
    balance_weight: float = Field(default=0.01, ge=0)  # of the balancing loss in the mean loss of a token
    router_z: float = Field(default=0.0, ge=0)

    def own_axes(self) -> dict[str, Any]:
        """The experts, their layers, full ones and windowed ones. Raises ConfigError for layers there are not."""
        mlp_width = self.shape()[1]
        return {
            "attn_bias": True,
            "experts": self.experts,
            "experts_per_token": self.experts_per_token,
            "expert_width": self.expert_width or expert_share(mlp_width, self.experts_per_token),
            "expert_layers": chosen_layers(self.depth, self.dense_layers),
            "shared_width": self.shared_width or mlp_width,
            "normalise_top": False,  # as published
            "router_z": self.router_z,
            "windows": upper_windows(self.window, full_layers=self.full_layers, depth=self.depth),
            **loss_axes(self.balance_weight),
        }

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """All windows are of one size; see balance_clash."""
        return window_clash(config) or balance_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The experts, the layers that have none, the windows and the biases."""
        return {
            "num_experts": config.experts,
            "num_experts_per_tok": config.experts_per_token,
            "moe_intermediate_size": config.expert_width,
            "shared_expert_intermediate_size": config.shared_width,
            "norm_topk_prob": config.normalise_top,
            "qkv_bias": config.attn_bias,
            **layer_fields(config),
            **window_fields(config),
            **balance_fields(config),
        }

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The experts, the layers that have none, the windows and the biases."""
        refuse(fields, {"mlp_bias": (False,)})
        if not fields.get("layer_types"):  # without them, versions of transformers put windows into different layers
            refuse(fields, {"use_sliding_window": (False,)})
        return {
            "experts": positive(fields, "num_experts"),
            "experts_per_token": positive(fields, "num_experts_per_tok"),
            "expert_width": positive(fields, "moe_intermediate_size"),
            "shared_width": positive(fields, "shared_expert_intermediate_size"),
            "normalise_top": fields.get("norm_topk_prob", False),
            "attn_bias": fields.get("qkv_bias", True),
            **layer_axes(fields),
            **window_axes(fields),
            **balance_axes(fields),
        }
