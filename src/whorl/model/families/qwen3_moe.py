"""model/families/qwen3_moe: qwen3 with many narrow experts in all layers, or all but some.

The layout of Qwen3MoeForCausalLM as published, one tensor per expert, https://arxiv.org/abs/2505.09388.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.core.errors import ConfigError
from whorl.model.config import ModelConfig
from whorl.model.dials import MULTIPLE
from whorl.model.expert_fields import (
    EXPERT_AXES,
    balance_axes,
    balance_clash,
    balance_fields,
    expert_pattern,
    layer_axes,
    layer_fields,
    loss_axes,
    positive,
)
from whorl.model.families import RotaryDecoder
from whorl.model.hub import decoder_layout, refuse, wanted
from whorl.model.layout import Layout, Stored

__all__ = ["Qwen3Moe"]

_MIXTURE = "model.layers.{}.mlp."


class Qwen3Moe(RotaryDecoder):
    """`mlp_width` is that of layers without experts."""

    model_type: ClassVar[str] = "qwen3_moe"
    architecture: ClassVar[str] = "Qwen3MoeForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(
        {
            "blocks.{}.mlp.router.weight": _MIXTURE + "gate.weight",
            "blocks.{}.mlp.gates": Stored(_MIXTURE + "experts.{e}.gate_proj.weight"),
            "blocks.{}.mlp.ups": Stored(_MIXTURE + "experts.{e}.up_proj.weight"),
            "blocks.{}.mlp.downs": Stored(_MIXTURE + "experts.{e}.down_proj.weight"),
        }
    )
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
        strange = sorted(set(self.dense_layers) - set(range(self.depth)))
        if strange:
            raise ConfigError(f"dense_layers={self.dense_layers}: no layer {strange[0]}; want 0 to {self.depth - 1}")
        share = -(-self.shape()[1] // (self.experts_per_token * MULTIPLE)) * MULTIPLE
        return {
            "experts": self.experts,
            "experts_per_token": self.experts_per_token,
            "expert_width": self.expert_width or share,
            "expert_layers": expert_pattern(self.depth, self.dense_layers),
            "router_z": self.router_z,
            "windows": (self.window,) * self.depth if self.window else (),
            **loss_axes(self.balance_weight),
        }

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """One window, or none, for all layers; attention has all its biases or none."""
        if len(set(config.windows)) > 1:
            return f"windows={config.windows}"
        if config.attn_bias != config.out_bias:
            return f"attn_bias={config.attn_bias} with out_bias={config.out_bias}"
        return balance_clash(config)

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
        bias = fields.get("attention_bias", False)
        return {
            "experts": positive(fields, _count_name(fields)),
            "experts_per_token": positive(fields, "num_experts_per_tok"),
            "expert_width": positive(fields, "moe_intermediate_size"),
            "normalise_top": fields.get("norm_topk_prob", False),
            "windows": _windows(fields),
            "attn_bias": bias,
            "out_bias": bias,
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
