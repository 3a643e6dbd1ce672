"""Tiny models of every family, and the variants of each that are held against transformers. Shared by the laws of the door.

A new family works here as it is; give it its own dials in OWN if its defaults are too large for a toy, and name in VARIANTS
what transformers should be asked about.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.model.transformer import Transformer

VOCAB, POSITIONS = 61, 32
# Odd sizes, grouped queries, heads wider than width / heads: what a family has no dial for is left out.
TINY = {"depth": 2, "width": 24, "heads": 4, "kv_heads": 2, "head_dim": 8, "mlp_width": 40}
OWN: Mapping[str, Mapping[str, object]] = {
    "mistral": {"window": 4},
    "dots1": {"experts": 6, "experts_per_token": 3, "expert_width": 16},
    "mixtral": {"experts": 4},
    "modernbert": {"depth": 4, "window": 6},
    "qwen2_moe": {"experts": 6, "experts_per_token": 3, "expert_width": 16},
    "qwen3_moe": {"experts": 6, "experts_per_token": 3, "expert_width": 16},
}


class Variant(NamedTuple):
    """One way of being a family: its dials, and axes that only a public config.json can state."""

    dials: Mapping[str, object] = {}
    axes: Mapping[str, object] = {}


def tiny_config(family: str = "qwen3", **dials: object) -> ModelConfig:
    """A config with 61 ids and 32 positions."""
    known = Family.find(family, frozenset()).model_fields
    fitting = {name: value for name, value in TINY.items() if name in known}
    return Family.model_validate({"use": family, **fitting, **OWN.get(family, {}), **dials}).configure(VOCAB, POSITIONS)


def fits(family: str, **dials: object) -> bool:
    """Whether a family has these dials and its public layout can hold them at these values."""
    member = Family.find(family, frozenset())
    return set(dials) <= set(member.model_fields) and member.misfit(tiny_config(family, **dials)) is None


def config_of(family: str, variant: Variant) -> ModelConfig:
    """The tiny config of a variant."""
    return ModelConfig.model_validate({**dict(tiny_config(family, **variant.dials)), **variant.axes})


def filled_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """Every weight drawn by numpy, norms, biases and output matrices too, large enough for logits of order one."""
    rng = np.random.default_rng(seed)
    built = Transformer(config)
    for name, parameter in built.named_parameters():
        is_scale = parameter.ndim == 1 and not name.endswith("bias")
        drawn = rng.normal(1.0, 0.3, parameter.shape) if is_scale else rng.normal(0.0, 0.2, parameter.shape)
        parameter.data.copy_(torch.from_numpy(drawn))
    for name, buffer in built.named_buffers():
        if name.endswith("router.bias"):  # moved by training, not by gradients
            buffer.copy_(torch.from_numpy(rng.normal(0.0, 0.2, buffer.shape)))
    return built


def varied(**dials: object) -> Variant:
    return Variant(dials)


_SHARED = {
    "plain": Variant(),
    "relu2": varied(activation="relu2"),
    "untied": varied(tied=False, activation="gelu_tanh", rope_theta=500.0, kv_heads=4),
}
_BIASED = {"biased": Variant(axes={"attn_bias": True, "out_bias": True})}
_WINDOWED = {"windows": varied(window=3, full_layers=1)}
# One frequency of the toy's four is kept, one blends, two are stretched.
_LLAMA3 = {"kind": "llama3", "factor": 4.0, "original_positions": 64, "low_frequency": 0.5, "high_frequency": 4.0}
_YARN = {"kind": "yarn", "factor": 4.0, "original_positions": 64, "beta_fast": 8.0, "beta_slow": 0.2}

VARIANTS: Mapping[str, Mapping[str, Variant]] = {
    "bert": {
        "plain": Variant(),
        "pairs": varied(next_sentence=True, norm_eps=1e-3),
        "classes": varied(classes=3, activation="relu"),
        "segments": varied(segments=3, heads=3, activation="gelu_tanh"),
    },
    "dots1": {
        "plain": Variant(),
        **_WINDOWED,
        "mixed": varied(dense_layers=1, tied=False, kv_heads=4, experts_per_token=1, shared_experts=2, routed_scale=2.5),
        "bare": Variant(axes={"normalise_top": False, "attn_bias": True, "out_bias": True}),
    },
    "gpt2": {"plain": Variant(), "untied": varied(tied=False, activation="relu", heads=3, norm_eps=1e-3)},
    "llama": {
        **_SHARED,
        "biased": Variant(axes={"attn_bias": True, "out_bias": True, "mlp_bias": True}),
        "linear": varied(rope_scaling={"kind": "linear", "factor": 2.0, "original_positions": 16}),
        "llama3": varied(rope_scaling=_LLAMA3),
        "yarn": varied(rope_scaling=_YARN),
        "yarn_smooth": varied(rope_scaling={**_YARN, "truncate": False, "magnitude": 1.3}),
    },
    "mistral": {"plain": Variant(), "full": varied(window=None), "untied": varied(tied=False, kv_heads=1, window=2)},
    "mixtral": {
        "plain": Variant(),
        "windows": varied(window=3, experts_per_token=1),
        "untied": varied(tied=False, activation="gelu_tanh", kv_heads=4, experts=5, experts_per_token=3, rope_theta=500.0),
    },
    "modernbert": {
        "plain": Variant(),
        "untied": varied(tied=False, window=4, global_every=2, rope_theta=500.0, local_theta=50.0, activation="silu"),
        "first": varied(classes=3, pooler="first"),
        "mean": varied(classes=4, global_every=1),
        "biased": Variant(axes=dict.fromkeys(("norm_bias", "attn_bias", "out_bias", "mlp_bias", "head_transform_bias"), True)),
        "bare": Variant(axes={"head_bias": False, "norm_eps": 1e-3}),
    },
    "olmo2": {"plain": Variant(), "untied": varied(tied=False, kv_heads=4), **_BIASED},
    "qwen2": {"plain": Variant(), "untied": varied(tied=False, rope_scaling=_YARN), **_WINDOWED},
    "qwen2_moe": {
        "plain": Variant(),
        "mixed": varied(dense_layers=(0,), tied=False, shared_width=24, experts_per_token=1, rope_scaling=_YARN),
        **_WINDOWED,
        "bare": Variant(axes={"normalise_top": True, "attn_bias": False}),
    },
    "qwen3": {**_SHARED, **_BIASED, **_WINDOWED},
    "qwen3_moe": {
        "plain": Variant(),
        "mixed": varied(dense_layers=(0,), tied=False, kv_heads=4, rope_scaling=_YARN),
        "windows": varied(window=3, activation="relu2", experts_per_token=1),
        "bare": Variant(axes={"normalise_top": False, "attn_bias": True, "out_bias": True}),
    },
}


def variants_of(family: str) -> Mapping[str, Variant]:
    return VARIANTS.get(family, {"plain": Variant()})


CAUSAL = tuple(name for name in Family.names() if tiny_config(name).causal)
