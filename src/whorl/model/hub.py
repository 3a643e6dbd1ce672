"""model/hub: the public decoder layout that llama and its descendants share: parameter names and config.json fields.

Families add what is theirs. Reads only what the model definition can do and refuses the rest by name, so that a foreign
checkpoint is never half understood. Does not touch files.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from whorl.core.errors import DataError
from whorl.model.config import Activation, ModelConfig

__all__ = ["DECODER_KEYS", "decoder_axes", "decoder_fields", "public_names"]

# Ours -> public; {} stands for the number of the block.
DECODER_KEYS: Mapping[str, str] = {
    "embed.weight": "model.embed_tokens.weight",
    "blocks.{}.attn_norm.weight": "model.layers.{}.input_layernorm.weight",
    "blocks.{}.attn.q.weight": "model.layers.{}.self_attn.q_proj.weight",
    "blocks.{}.attn.k.weight": "model.layers.{}.self_attn.k_proj.weight",
    "blocks.{}.attn.v.weight": "model.layers.{}.self_attn.v_proj.weight",
    "blocks.{}.attn.o.weight": "model.layers.{}.self_attn.o_proj.weight",
    "blocks.{}.mlp_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "blocks.{}.mlp.gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "blocks.{}.mlp.up.weight": "model.layers.{}.mlp.up_proj.weight",
    "blocks.{}.mlp.down.weight": "model.layers.{}.mlp.down_proj.weight",
    "norm.weight": "model.norm.weight",
    "unembed.weight": "lm_head.weight",
}

_ACTIVATIONS: Mapping[Activation, str] = {"silu": "silu", "relu2": "relu2", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}
_ALSO_KNOWN: Mapping[str, Activation] = {"swish": "silu", "gelu_new": "gelu_tanh"}

# Fields of public configs that must hold one of these values (absent counts as the first) because nothing else is built.
_ONLY: Mapping[str, tuple[object, ...]] = {
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
    "attention_dropout": (0.0,),
    "partial_rotary_factor": (1.0, None),
    "rope_scaling": (None,),
    "pretraining_tp": (1,),
}


def public_names(keys: Mapping[str, str], parameters: Iterable[str]) -> dict[str, str]:
    """The public name of each parameter of a model."""
    named = {}
    for ours in parameters:
        parts = ours.split(".")
        number = next((part for part in parts if part.isdigit()), "")
        pattern = ".".join("{}" if part.isdigit() else part for part in parts)
        named[ours] = keys[pattern].format(number)
    return named


def decoder_fields(config: ModelConfig) -> dict[str, Any]:
    """The config.json fields that describe the architecture. Rope is written as old and new transformers read it."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.mlp_width,
        "hidden_act": _ACTIVATIONS[config.activation],
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": config.init_std,
    }


def decoder_axes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The ModelConfig axes that a public config.json states. Raises DataError for what is missing or not built here."""
    for name, allowed in _ONLY.items():
        if fields.get(name, allowed[0]) not in allowed:
            raise DataError(f"config.json: {name}={fields[name]!r} is not supported; want {allowed[0]!r}")
    heads, width = _wanted(fields, "num_attention_heads"), _wanted(fields, "hidden_size")
    return {
        "vocab_size": _wanted(fields, "vocab_size"),
        "width": width,
        "depth": _wanted(fields, "num_hidden_layers"),
        "heads": heads,
        "kv_heads": fields.get("num_key_value_heads") or heads,
        "head_dim": fields.get("head_dim") or width // heads,
        "mlp_width": _wanted(fields, "intermediate_size"),
        "max_positions": _wanted(fields, "max_position_embeddings"),
        "activation": _activation(fields.get("hidden_act", "silu")),
        "norm_eps": fields.get("rms_norm_eps", 1e-6),
        "rope_theta": _rope_theta(fields),
        "tied": fields.get("tie_word_embeddings", False),
        "init_std": fields.get("initializer_range", 0.02),
    }


def _wanted(fields: Mapping[str, Any], name: str) -> int:
    if not isinstance(fields.get(name), int):
        raise DataError(f"config.json: {name}={fields.get(name)!r}; want a whole number")
    number: int = fields[name]
    return number


def _activation(public: str) -> Activation:
    for ours, theirs in _ACTIVATIONS.items():
        if public == theirs:
            return ours
    if public not in _ALSO_KNOWN:
        known = ", ".join([*_ACTIVATIONS.values(), *_ALSO_KNOWN])
        raise DataError(f"config.json: hidden_act='{public}' is not supported; known: {known}")
    return _ALSO_KNOWN[public]


def _rope_theta(fields: Mapping[str, Any]) -> float:
    rope = fields.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default":
        raise DataError(f"config.json: rope_type='{rope['rope_type']}' is not supported; want 'default'")
    return float(rope.get("rope_theta", fields.get("rope_theta", 10_000.0)))
