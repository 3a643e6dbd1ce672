"""model/families/qwen3_moe: qwen3 with many narrow experts in all layers, or all but some.

The layout of Qwen3MoeForCausalLM as published, one tensor per expert, https://arxiv.org/abs/2505.09388.
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
)
from whorl.model.families import RotaryDecoder
from whorl.model.hub import bias_axes, bias_clash, decoder_layout, refuse, upper_windows, wanted, window_clash
from whorl.model.layout import Layout

__all__ = ["Qwen3Moe"]


class Qwen3Moe(RotaryDecoder):
    """`mlp_width` is that of layers without experts."""

    model_type: ClassVar[str] = "qwen3_moe"
    architecture: ClassVar[str] = "Qwen3MoeForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(EXPERT_KEYS)
    free: ClassVar[frozenset[str]] = (
        RotaryDecoder.free | EXPERT_AXES | {"windows", "attn_bias", "out_bias", "expert_layers", "normalise_top"}
    )
    fixed: ClassVar[Mapping[str, object]] = {"qk_norm": "head"}
    absent: ClassVar[Mapping[str, object]] = {
        "num_key_value_heads": 4,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "router_aux_loss_coef": 0.001,
    }

    norm_eps: float = 1e-6
    window: int | None = Field(default=None, ge=1)  # positions, the own one included, that a layer sees; default: all
    experts: int = Field(default=32, ge=1)
    experts_per_token: int = Field(default=4, ge=1)
    expert_width: int | None = Field(default=None, ge=1)  # default: so that a token's experts are as wide as mlp_width
    dense_layers: tuple[int, ...] = ()  # layers, from 0, whose feed-forward is not chosen
    balance_weight: float = Field(default=0.01, ge=0)  # of the balancing loss in the mean loss of a token
    router_z: float = Field(default=0.0, ge=0)

    def own_axes(self) -> dict[str, Any]:
        """The experts, their layers, and the window in every layer. Raises ConfigError for layers there are not."""
        return {
            "experts": self.experts,
            "experts_per_token": self.experts_per_token,
            "expert_width": self.expert_width or expert_share(self.shape()[1], self.experts_per_token),
            "expert_layers": chosen_layers(self.depth, self.dense_layers),
            "router_z": self.router_z,
            "windows": upper_windows(self.window, full_layers=0, depth=self.depth),
            **loss_axes(self.balance_weight),
        }

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """One window, or none, for all layers; attention has all its biases or none."""
        return window_clash(config, in_every_layer=True) or bias_clash(config) or balance_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The experts, the layers that have none, the window and the biases."""
        window = config.windows[0] if config.windows else None
        return {
            "num_experts": config.experts,
            "num_experts_per_tok": config.experts_per_token,
            "moe_intermediate_size": config.expert_width,
            "norm_topk_prob": config.normalise_top,
            **layer_fields(config),
            "use_sliding_window": window is not None,
            "sliding_window": window,
            "max_window_layers": 0 if window else config.depth,
            "attention_bias": config.attn_bias,
            **balance_fields(config),
        }

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The experts, the layers that have none, the window and the biases."""
        refuse(fields, {"layer_types": (None,), "mlp_bias": (False,)})
        return {
            "experts": positive(fields, _count_name(fields)),
            "experts_per_token": positive(fields, "num_experts_per_tok"),
            "expert_width": positive(fields, "moe_intermediate_size"),
            "normalise_top": fields.get("norm_topk_prob", False),
            "windows": _windows(fields),
            **bias_axes(fields),
            **layer_axes(fields),
            **balance_axes(fields),
        }


def _count_name(fields: Mapping[str, Any]) -> str:
    """Where the number of experts is said: transformers 5 writes `num_local_experts`, all others `num_experts`."""
    older, newer = "num_experts", "num_local_experts"
    if older in fields:
        refuse(fields, {newer: (fields[older],)})
    return older if older in fields else newer


def _windows(fields: Mapping[str, Any]) -> tuple[int, ...]:
    """The window of every layer, if any. Raises DataError where versions of transformers understand the fields differently."""
    size = fields.get("sliding_window", 4096)
    if not fields.get("use_sliding_window", False) or size is None:
        return ()
    refuse(fields, {"max_window_layers": (0,)})  # 5.x puts windows into all layers, 4.x into those from this one on
    return (size,) * wanted(fields, "num_hidden_layers")
