"""model/families/dots1: qwen3 with a sigmoid router balanced by a bias instead of a loss, and an expert that is always used.

The layout of Dots1ForCausalLM as published, one tensor per expert, https://arxiv.org/abs/2506.05767; the router is that of
https://arxiv.org/abs/2412.19437 without groups of experts.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.model.config import ModelConfig
from whorl.model.expert_fields import EXPERT_KEYS, expert_share, positive, shared_keys
from whorl.model.families import RotaryDecoder
from whorl.model.hub import (
    bias_axes,
    bias_clash,
    decoder_layout,
    refuse,
    upper_windows,
    wanted,
    window_axes,
    window_clash,
    window_fields,
)
from whorl.model.layout import Layout

__all__ = ["Dots1"]


class Dots1(RotaryDecoder):
    """`mlp_width` is that of layers without experts, which come first."""

    model_type: ClassVar[str] = "dots1"
    architecture: ClassVar[str] = "Dots1ForCausalLM"
    layout: ClassVar[Layout] = decoder_layout(
        {
            **EXPERT_KEYS,
            **shared_keys("shared_experts"),
            "blocks.{}.mlp.router.bias": "model.layers.{}.mlp.gate.e_score_correction_bias",
        }
    )
    free: ClassVar[frozenset[str]] = RotaryDecoder.free | {
        "windows",
        "attn_bias",
        "out_bias",
        "experts",
        "experts_per_token",
        "expert_width",
        "expert_layers",
        "shared_width",
        "normalise_top",
        "routed_scale",
        "balance_weight",
        "router_z",
    }
    fixed: ClassVar[Mapping[str, object]] = {"qk_norm": "head", "router": "sigmoid", "balance": "bias"}
    absent: ClassVar[Mapping[str, object]] = {"num_key_value_heads": 32}

    norm_eps: float = 1e-6
    window: int | None = Field(default=None, ge=1)  # positions, the own one included, that upper layers see; default: all
    full_layers: int = Field(default=0, ge=0)  # layers below the first with a window
    experts: int = Field(default=32, ge=2)
    experts_per_token: int = Field(default=4, ge=1)
    expert_width: int | None = Field(default=None, ge=1)  # default: so that all a token uses is as wide as mlp_width
    shared_experts: int = Field(default=1, ge=1)  # widths of an expert that every token uses
    dense_layers: int = Field(default=0, ge=0)  # first layers, whose feed-forward is not chosen
    routed_scale: float = Field(default=1.0, gt=0)
    balance_weight: float = Field(default=0.001, ge=0)  # step of the bias, arXiv 2408.15664
    router_z: float = Field(default=0.0, ge=0)

    def own_axes(self) -> dict[str, Any]:
        """The experts and the layers that have them; full layers, then windowed ones."""
        width = self.expert_width or expert_share(self.shape()[1], self.experts_per_token + self.shared_experts)
        return {
            "experts": self.experts,
            "experts_per_token": self.experts_per_token,
            "expert_width": width,
            "expert_layers": _pattern(self.depth, self.dense_layers),
            "shared_width": self.shared_experts * width,
            "routed_scale": self.routed_scale,
            "balance_weight": self.balance_weight,
            "router_z": self.router_z,
            "windows": upper_windows(self.window, full_layers=self.full_layers, depth=self.depth),
        }

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Dense layers come first; the shared expert is some experts wide; one size of windows; all biases or none."""
        if config.experts < 2:
            return f"experts={config.experts}"
        if config.expert_layers != _pattern(config.depth, _num_dense(config)):
            return f"expert_layers={config.expert_layers}"
        if not config.shared_width or config.shared_width % config.expert_width:
            return f"shared_width={config.shared_width} with expert_width={config.expert_width}"
        return window_clash(config) or bias_clash(config)

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """The experts, their layers, the biases of attention and the windows; only we read the step of the router's bias."""
        said = {"sliding_window": None, **window_fields(config)}  # None: the peer's default is a window in late layers
        windows = {name: value for name, value in said.items() if name != "use_sliding_window"}
        return {
            "n_routed_experts": config.experts,
            "num_experts_per_tok": config.experts_per_token,
            "moe_intermediate_size": config.expert_width,
            "n_shared_experts": config.shared_width // config.expert_width,
            "first_k_dense_replace": _num_dense(config),
            "norm_topk_prob": config.normalise_top,
            "routed_scaling_factor": config.routed_scale,
            "n_group": 1,
            "topk_group": 1,
            "moe_layer_freq": 1,
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "router_bias_update_rate": config.balance_weight,
            "router_z_loss_coef": config.router_z,
            "attention_bias": config.attn_bias,
            **windows,
        }

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The experts, their layers, the biases of attention and the windows."""
        refuse(fields, {"n_group": (1, None), "topk_group": (1, None), "moe_layer_freq": (1,), "mlp_bias": (False,)})
        # The published file names the method where others name the function.
        refuse(fields, {"scoring_func": ("sigmoid", "noaux_tc"), "topk_method": ("noaux_tc",)})
        depth, width = wanted(fields, "num_hidden_layers"), positive(fields, "moe_intermediate_size")
        return {
            "experts": positive(fields, "n_routed_experts"),
            "experts_per_token": positive(fields, "num_experts_per_tok"),
            "expert_width": width,
            "expert_layers": _pattern(depth, fields.get("first_k_dense_replace") or 0),
            "shared_width": width * positive(fields, "n_shared_experts"),
            "normalise_top": bool(fields.get("norm_topk_prob", False)),
            "routed_scale": fields.get("routed_scaling_factor", 1.0),
            "balance_weight": fields.get("router_bias_update_rate", 0.001),
            "router_z": fields.get("router_z_loss_coef", 0.0),
            **bias_axes(fields),
            # A window that is stated is used: there is no field to switch it off.
            **window_axes({"max_window_layers": 62, **fields, "use_sliding_window": True}),
        }


def _num_dense(config: ModelConfig) -> int:
    return sum(not config.has_experts(layer) for layer in range(config.depth))


def _pattern(depth: int, num_dense: int) -> tuple[bool, ...]:
    """Which layers have experts; () when all have."""
    return tuple(layer >= num_dense for layer in range(depth)) if num_dense else ()
