"""compress/llama_cpp: which of our models llama.cpp runs, under which names, and what it has to be told about them.

One table: for every family the architecture that computes the same, where each of our tensors stands in its files, and which
axes it is built for; whatever else a model has is refused, because llama.cpp would compute something else without a word.
Read against llama.cpp of October 2026; every row is held to it by bench.engine_oracles. Writes no files (compress/exports).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from torch import Tensor

from whorl.core.errors import DataError
from whorl.model.config import ModelConfig, RopeScaling
from whorl.model.layout import Entry, Layout, Stored
from whorl.model.rope import frequencies, magnitude

__all__ = ["ARCHITECTURES", "Architecture", "PublicTensor", "Value", "architecture_of", "fields_of", "public_tensors"]

Value = bool | int | float | str

FACTORS = "rope_freqs.weight"  # what each frequency is divided by


def _block(**names: str) -> dict[str, str | Stored]:
    """Our tensors of a block -> theirs, weights and biases alike."""
    ends = ("weight", "bias")
    return {
        f"blocks.{{}}.{ours.replace('__', '.')}.{end}": f"blk.{{}}.{theirs}.{end}"
        for ours, theirs in names.items()
        for end in ends
    }


_OUTSIDE: Mapping[str, str | Stored] = {
    "embed.weight": "token_embd.weight",
    "places.weight": "position_embd.weight",
    "norm.weight": "output_norm.weight",
    "norm.bias": "output_norm.bias",
    "unembed.weight": "output.weight",
}
_ATTENTION = _block(
    attn__q="attn_q",
    attn__k="attn_k",
    attn__v="attn_v",
    attn__o="attn_output",
    attn__q_norm="attn_q_norm",
    attn__k_norm="attn_k_norm",
)
_MLP = _block(mlp__gate="ffn_gate", mlp__up="ffn_up", mlp__down="ffn_down")
_PRE = _block(attn_norm="attn_norm", mlp_norm="ffn_norm")
_POST = _block(attn_norm="post_attention_norm", mlp_norm="post_ffw_norm")
_JOINED: Mapping[str, str | Stored] = {
    f"blocks.{{}}.attn.{name}.{end}": Stored(f"blk.{{}}.attn_qkv.{end}", part=part)
    for part, name in enumerate("qkv")
    for end in ("weight", "bias")
}
_CHOSEN: Mapping[str, str | Stored] = {
    "blocks.{}.mlp.router.weight": "blk.{}.ffn_gate_inp.weight",
    "blocks.{}.mlp.router.bias": "blk.{}.exp_probs_b.bias",
    "blocks.{}.mlp.gates": "blk.{}.ffn_gate_exps.weight",
    "blocks.{}.mlp.ups": "blk.{}.ffn_up_exps.weight",
    "blocks.{}.mlp.downs": "blk.{}.ffn_down_exps.weight",
    "blocks.{}.mlp.shared_gate.weight": "blk.{}.ffn_gate_inp_shexp.weight",
    **_block(mlp__shared__gate="ffn_gate_shexp", mlp__shared__up="ffn_up_shexp", mlp__shared__down="ffn_down_shexp"),
}
_DENSE = Layout({**_OUTSIDE, **_ATTENTION, **_MLP, **_PRE})
_MIXED = Layout({**_OUTSIDE, **_ATTENTION, **_MLP, **_PRE, **_CHOSEN})


def _nothing(config: ModelConfig) -> Mapping[str, Value]:
    del config
    return {}


def _chosen(config: ModelConfig) -> dict[str, Value]:
    return {"expert_count": config.experts, "expert_used_count": config.experts_per_token}


def _narrow(config: ModelConfig) -> dict[str, Value]:
    return {**_chosen(config), "expert_feed_forward_length": config.expert_width}


def _gated_share(config: ModelConfig) -> dict[str, Value]:
    return {**_narrow(config), "expert_shared_feed_forward_length": config.shared_width}


def _sigmoid(config: ModelConfig) -> dict[str, Value]:
    return {
        **_narrow(config),
        "expert_shared_count": config.shared_width // config.expert_width,
        "expert_weights_scale": config.routed_scale,
        "expert_weights_norm": config.normalise_top,
        "expert_gating_func": 2,  # sigmoid
        "leading_dense_block_count": sum(not config.has_experts(layer) for layer in range(config.depth)),
    }


@dataclass(frozen=True)
class Architecture:
    """One of llama.cpp's, as the place of one of our families."""

    name: str
    layout: Layout
    only: Mapping[str, tuple[object, ...]] = field(default_factory=dict)  # axes -> values that it computes with
    own: Callable[[ModelConfig], Mapping[str, Value]] = _nothing  # fields beyond the shape
    pairs_neighbours: bool = False  # rotary positions turn channels 2i and 2i + 1, ours i and i + c/2
    wants_head: bool = False  # an output matrix even where it is the embedding
    is_square: bool = False  # the heads together are as wide as the stream
    has_groups: bool = True  # fewer key heads than query heads

    @property
    def reads_factors(self) -> bool:
        """Whether the file may say what each frequency of the rotary positions is divided by."""
        return self.name == "llama"


_SILU = {"activation": ("silu",)}
_BARE = {**_SILU, "attn_bias": (False,), "out_bias": (False,)}
_ALL = {"expert_layers": ((),)}

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("llama", _DENSE, _SILU, pairs_neighbours=True),
    "mistral": Architecture("llama", _DENSE, _SILU, pairs_neighbours=True),
    "mixtral": Architecture("llama", _MIXED, {**_SILU, **_ALL}, _chosen, pairs_neighbours=True),
    "gpt2": Architecture("gpt2", Layout({**_OUTSIDE, **_ATTENTION, **_JOINED, **_MLP, **_PRE}), {"activation": ("gelu_tanh",)}),
    "qwen2": Architecture("qwen2", _DENSE, _SILU, is_square=True),
    "qwen3": Architecture("qwen3", _DENSE, _BARE),
    "olmo2": Architecture("olmo2", Layout({**_DENSE.keys, **_POST}), _BARE, wants_head=True, is_square=True),
    "qwen2_moe": Architecture(
        "qwen2moe", _MIXED, {**_SILU, **_ALL, "normalise_top": (False,)}, _gated_share, wants_head=True, is_square=True
    ),
    "qwen3_moe": Architecture("qwen3moe", _MIXED, {**_BARE, **_ALL, "normalise_top": (True,)}, _narrow),
    "dots1": Architecture("dots1", _MIXED, _BARE, _sigmoid, wants_head=True, has_groups=False),
}


def architecture_of(family: str, config: ModelConfig, *, context: int) -> Architecture:
    """What llama.cpp runs a model as. Raises DataError naming the axis that it has no place for, or the families it knows."""
    if family not in ARCHITECTURES:
        raise DataError(f"llama.cpp runs no {family} as we write it; it does run {', '.join(ARCHITECTURES)}")
    found = ARCHITECTURES[family]
    fault = _misfit(found, config, context)
    if fault:
        raise DataError(
            f"llama.cpp has no place for {fault} in its architecture {found.name}, and would compute something else"
        )
    return found


def _misfit(found: Architecture, config: ModelConfig, context: int) -> str:
    for axis, allowed in found.only.items():
        if getattr(config, axis) not in allowed:
            return f"{axis}={getattr(config, axis)!r} (it computes with {', '.join(map(repr, allowed))})"
    if found.is_square and config.heads * config.head_dim != config.width:
        return f"heads={config.heads} of head_dim={config.head_dim} with width={config.width}"
    if config.kv_heads != config.heads and not found.has_groups:
        return f"kv_heads={config.kv_heads} with heads={config.heads}"
    window = min((window for window in config.windows if window is not None), default=context)
    if window < context:
        return f"a window of {window} positions (with context: {window} or less the window changes nothing)"
    return _rope_misfit(found, config.rope_scaling)


def _rope_misfit(found: Architecture, scaling: RopeScaling | None) -> str:
    """Where frequencies cannot be told one by one there are two rules, and the borders of yarn's are not in the file."""
    if scaling is None or scaling.kind == "linear" or found.reads_factors:
        return ""
    if scaling.kind == "llama3":
        return "rope scaling of kind 'llama3'"
    said = (scaling.beta_fast, scaling.beta_slow, scaling.truncate)
    return "" if said == (32.0, 1.0, True) else f"yarn with beta_fast, beta_slow, truncate={said} (it has 32, 1, True)"


def fields_of(found: Architecture, config: ModelConfig, *, context: int) -> dict[str, Value]:
    """What llama.cpp has to be told about a model, without the architecture's name before it."""
    norm = "attention.layer_norm_epsilon" if config.norm == "layer" else "attention.layer_norm_rms_epsilon"
    shape: dict[str, Value] = {
        "context_length": context,
        "embedding_length": config.width,
        "block_count": config.depth,
        "feed_forward_length": config.mlp_width,
        "vocab_size": config.vocab_size,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        norm: config.norm_eps,
    }
    return {**shape, **_rope_fields(found, config), **found.own(config)}


def _rope_fields(found: Architecture, config: ModelConfig) -> dict[str, Value]:
    if config.positions != "rotary":
        return {}
    said: dict[str, Value] = {"rope.dimension_count": config.head_dim, "rope.freq_base": config.rope_theta}
    scaling = config.rope_scaling
    if scaling is None:
        return said
    if found.reads_factors and scaling.kind != "linear":  # said frequency by frequency
        return {**said, "rope.scaling.attn_factor": magnitude(scaling)}
    said |= {"rope.scaling.type": scaling.kind, "rope.scaling.factor": scaling.factor}
    if scaling.kind == "linear":
        return said
    share = magnitude(scaling) / (0.1 * math.log(scaling.factor) + 1.0)  # of what it would multiply with itself
    return {**said, "rope.scaling.original_context_length": scaling.original_positions, "rope.scaling.attn_factor": share}


def _rope_factors(found: Architecture, config: ModelConfig) -> Tensor | None:
    """What llama.cpp divides each frequency by, float32 (c/2); None where a rule says it."""
    if config.rope_scaling is None or config.rope_scaling.kind == "linear" or not found.reads_factors:
        return None
    plain = frequencies(config.head_dim, theta=config.rope_theta)
    return plain / frequencies(config.head_dim, theta=config.rope_theta, scaling=config.rope_scaling)


class PublicTensor(NamedTuple):
    """One tensor of a file for llama.cpp, made when it is asked for: ours, in another place or order."""

    name: str
    shape: tuple[int, ...]
    made: Callable[[], Tensor]


def public_tensors(
    found: Architecture, config: ModelConfig, weights: Mapping[str, Tensor], *, context: int
) -> Iterator[PublicTensor]:
    """Every tensor that llama.cpp reads, in the model's order."""
    factors = _rope_factors(found, config)
    if factors is not None:
        yield PublicTensor(FACTORS, tuple(factors.shape), lambda: factors)
    if found.wants_head and config.tied:
        weights = {**weights, "unembed.weight": weights["embed.weight"]}
    for entry in found.layout.entries({name: tensor.shape for name, tensor in weights.items()}).values():
        shape, change = _changed(found, config, entry, context=context)
        yield PublicTensor(entry.name, shape, partial(_made, entry, weights, change=change))


def _made(entry: Entry, weights: Mapping[str, Tensor], *, change: Callable[[Tensor], Tensor]) -> Tensor:
    return change(entry.gathered(weights).detach())


def _changed(
    found: Architecture, config: ModelConfig, entry: Entry, *, context: int
) -> tuple[tuple[int, ...], Callable[[Tensor], Tensor]]:
    """The shape of a tensor in the file, and what makes it from ours."""
    if entry.name.startswith("position_embd"):  # as many as the file's context
        return (context, *entry.shape[1:]), lambda tensor: tensor[:context]
    if "ffn_gate_inp_shexp" in entry.name:  # one row, as a vector
        return entry.shape[1:], lambda tensor: tensor[0]
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}.get(entry.name.split(".")[-2])
    if heads is not None and found.pairs_neighbours:
        return entry.shape, partial(turned, heads=heads)
    return entry.shape, lambda tensor: tensor


def turned(tensor: Tensor, heads: int) -> Tensor:
    """Rows of queries or keys, (h c ...), so that the two channels that turn together stand side by side."""
    halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])  # h 2 c/2 ...
    return halves.transpose(1, 2).reshape(tensor.shape)
