"""model/expert_fields: what families of mixtures share: names of weights, layers with experts, how loads are balanced.

What differs from family to family (config.json's words for numbers and widths) is theirs. Does not touch files.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.dials import MULTIPLE
from whorl.model.hub import wanted
from whorl.model.layout import Stored

__all__ = [
    "EXPERT_AXES",
    "EXPERT_KEYS",
    "balance_axes",
    "balance_clash",
    "balance_fields",
    "chosen_layers",
    "expert_pattern",
    "expert_share",
    "layer_axes",
    "layer_fields",
    "loss_axes",
    "positive",
    "shared_keys",
]

# Axes of every mixture whose loads are balanced by a loss.
EXPERT_AXES = frozenset({"experts", "experts_per_token", "expert_width", "balance", "balance_weight", "router_z"})


# Ours -> public, of mixtures that stand where the feed-forward of a dense layer would, one tensor per expert.
_MIXTURE = "model.layers.{}.mlp."
EXPERT_KEYS: Mapping[str, str | Stored] = {
    "blocks.{}.mlp.router.weight": _MIXTURE + "gate.weight",
    "blocks.{}.mlp.gates": Stored(_MIXTURE + "experts.{e}.gate_proj.weight"),
    "blocks.{}.mlp.ups": Stored(_MIXTURE + "experts.{e}.up_proj.weight"),
    "blocks.{}.mlp.downs": Stored(_MIXTURE + "experts.{e}.down_proj.weight"),
}


def shared_keys(name: str) -> dict[str, str]:
    """The keys of the expert that every token uses, under the layout's name for it."""
    return {f"blocks.{{}}.mlp.shared.{part}.weight": f"{_MIXTURE}{name}.{part}_proj.weight" for part in ("gate", "up", "down")}


def expert_share(mlp_width: int, used: int) -> int:
    """The width of one expert, so that the `used` ones of a token are together at least as wide as a dense feed-forward."""
    return -(-mlp_width // (used * MULTIPLE)) * MULTIPLE


def loss_axes(weight: float) -> dict[str, Any]:
    """Balancing by a loss of this weight; none at 0."""
    return {"balance": "loss" if weight else "none", "balance_weight": weight}


def balance_fields(config: ModelConfig) -> dict[str, Any]:
    """The weights of the router's losses. They leave no trace in the answers, but training on goes by them."""
    return {"router_aux_loss_coef": config.balance_weight, "router_z_loss_coef": config.router_z}


def balance_axes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """How a config.json would have its loads balanced."""
    return {**loss_axes(fields["router_aux_loss_coef"]), "router_z": fields.get("router_z_loss_coef", 0.0)}


def balance_clash(config: ModelConfig) -> str | None:
    """What layouts of mixtures balanced by a loss cannot hold (see Family.clash)."""
    if not config.experts:
        return "experts=0"
    if config.balance == "bias":
        return "balance='bias'"  # no place for the bias, without which tokens would go elsewhere
    if (config.balance == "loss") != (config.balance_weight > 0):
        return f"balance={config.balance!r} with balance_weight={config.balance_weight}"
    return None


def expert_pattern(depth: int, dense: Collection[int]) -> tuple[bool, ...]:
    """Which layers have experts, from those that have none; () when all have."""
    pattern = tuple(layer not in dense for layer in range(depth))
    return () if all(pattern) else pattern


def chosen_layers(depth: int, dense: Sequence[int]) -> tuple[bool, ...]:
    """The same from a recipe's dial. Raises ConfigError for layers there are not."""
    strange = sorted(set(dense) - set(range(depth)))
    if strange:
        raise ConfigError(f"dense_layers={dense}: no layer {strange[0]}; want 0 to {depth - 1}")
    return expert_pattern(depth, dense)


def layer_fields(config: ModelConfig) -> dict[str, Any]:
    """The layers without experts, as qwen2_moe and qwen3_moe list them."""
    return {
        "decoder_sparse_step": 1,
        "mlp_only_layers": [layer for layer in range(config.depth) if not config.has_experts(layer)],
    }


def layer_axes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The layers with experts: every so many-th, listed ones apart. Raises DataError for layers there are not."""
    depth, step = wanted(fields, "num_hidden_layers"), fields.get("decoder_sparse_step", 1)
    listed = fields.get("mlp_only_layers") or []
    strange = [layer for layer in listed if layer not in range(depth)]
    if strange:
        raise DataError(f"config.json: mlp_only_layers={listed}: no layer {strange[0]!r}; want 0 to {depth - 1}")
    dense = {*listed, *(layer for layer in range(depth) if (layer + 1) % step)}
    return {"expert_layers": expert_pattern(depth, dense)}


def positive(fields: Mapping[str, Any], name: str) -> int:
    """A field that must be a whole number above 0. Raises DataError."""
    number = wanted(fields, name)
    if number < 1:
        raise DataError(f"config.json: {name}={number}; want at least 1")
    return number
