"""model/hub: config.json read and written: the fields that llama and its descendants share, and the pieces other layouts reuse.

Reads only what the model definition can do and refuses the rest by name, so that a foreign checkpoint is never half
understood. Rates of dropout are read over: they belong to training. Where tensors lie is said with model/layout. Does not
touch files.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from whorl.core.errors import DataError
from whorl.model.config import Activation, ModelConfig
from whorl.model.layout import Layout, Stored

__all__ = [
    "DECODER_KEYS",
    "activation_name",
    "bias_axes",
    "bias_clash",
    "built",
    "decoder_axes",
    "decoder_fields",
    "decoder_layout",
    "known_activation",
    "refuse",
    "rope_axes",
    "rope_fields",
    "upper_windows",
    "wanted",
    "window_axes",
    "window_clash",
    "window_fields",
]

Fields = Mapping[str, Any]

# Ours -> public; {} stands for the number of the block.
DECODER_KEYS: Mapping[str, str] = {
    "embed.weight": "model.embed_tokens.weight",
    "blocks.{}.attn_norm.weight": "model.layers.{}.input_layernorm.weight",
    "blocks.{}.attn.q.weight": "model.layers.{}.self_attn.q_proj.weight",
    "blocks.{}.attn.k.weight": "model.layers.{}.self_attn.k_proj.weight",
    "blocks.{}.attn.v.weight": "model.layers.{}.self_attn.v_proj.weight",
    "blocks.{}.attn.o.weight": "model.layers.{}.self_attn.o_proj.weight",
    "blocks.{}.attn.q.bias": "model.layers.{}.self_attn.q_proj.bias",
    "blocks.{}.attn.k.bias": "model.layers.{}.self_attn.k_proj.bias",
    "blocks.{}.attn.v.bias": "model.layers.{}.self_attn.v_proj.bias",
    "blocks.{}.attn.o.bias": "model.layers.{}.self_attn.o_proj.bias",
    "blocks.{}.attn.q_norm.weight": "model.layers.{}.self_attn.q_norm.weight",
    "blocks.{}.attn.k_norm.weight": "model.layers.{}.self_attn.k_norm.weight",
    "blocks.{}.mlp_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "blocks.{}.mlp.gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "blocks.{}.mlp.up.weight": "model.layers.{}.mlp.up_proj.weight",
    "blocks.{}.mlp.down.weight": "model.layers.{}.mlp.down_proj.weight",
    "blocks.{}.mlp.gate.bias": "model.layers.{}.mlp.gate_proj.bias",
    "blocks.{}.mlp.up.bias": "model.layers.{}.mlp.up_proj.bias",
    "blocks.{}.mlp.down.bias": "model.layers.{}.mlp.down_proj.bias",
    "norm.weight": "model.norm.weight",
    "unembed.weight": "lm_head.weight",
}

_ACTIVATIONS: Mapping[Activation, str] = {
    "silu": "silu",
    "relu": "relu",
    "relu2": "relu2",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
}
_ALSO_KNOWN: Mapping[str, Activation] = {"swish": "silu", "gelu_new": "gelu_tanh", "gelu_python": "gelu"}

# Fields any config.json may have that must hold one of these values; absent counts as the first.
_EVERYWHERE: Mapping[str, tuple[object, ...]] = {
    "quantization_config": (None,),
    "per_layer_config": (None, {}),
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
    "partial_rotary_factor": (1.0, None),
}

# What each kind of scaling may say besides its type, theta and (where it matters) the original length.
_ROPE_KEYS: Mapping[str, frozenset[str]] = {
    "default": frozenset(),
    "linear": frozenset({"factor"}),
    "llama3": frozenset({"factor", "low_freq_factor", "high_freq_factor"}),
    "yarn": frozenset({"factor", "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate"}),
}
_LENGTH = "original_max_position_embeddings"


def decoder_layout(extra: Mapping[str, str | Stored] | None = None) -> Layout:
    """The names llama's descendants share, with what a family adds or says otherwise."""
    return Layout(
        {**DECODER_KEYS, **(extra or {})},
        prefix="model.",
        copies={"lm_head.weight": "embed.weight"},
        ignored=("model.layers.{}.self_attn.rotary_emb.inv_freq",),
    )


def built(axes: Mapping[str, Any]) -> ModelConfig:
    """The architecture these axes make. Raises DataError: they came from a file."""
    try:
        return ModelConfig.model_validate(axes)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{name}: " for name in first["loc"])
        raise DataError(f"config.json describes what cannot be built: {place}{first['msg']}") from error


def refuse(fields: Fields, only: Mapping[str, tuple[object, ...]]) -> None:
    """Raise DataError for a field that must hold one of the values given for it and does not; absent counts as the first."""
    for name, allowed in {**_EVERYWHERE, **only}.items():
        if fields.get(name, allowed[0]) not in allowed:
            raise DataError(f"config.json: {name}={fields[name]!r} is not supported; want {allowed[0]!r}")


def wanted(fields: Fields, name: str) -> int:
    """A field that must be a whole number. Raises DataError."""
    if not isinstance(fields.get(name), int):
        raise DataError(f"config.json: {name}={fields.get(name)!r}; want a whole number")
    number: int = fields[name]
    return number


def known_activation(public: str, *, field: str = "hidden_act") -> Activation:
    """The activation of a public name. Raises DataError naming the field and the known ones."""
    for ours, theirs in _ACTIVATIONS.items():
        if public == theirs:
            return ours
    if public not in _ALSO_KNOWN:
        known = ", ".join([*_ACTIVATIONS.values(), *_ALSO_KNOWN])
        raise DataError(f"config.json: {field}={public!r} is not supported; known: {known}")
    return _ALSO_KNOWN[public]


def activation_name(ours: Activation) -> str:
    """The public name of an activation."""
    return _ACTIVATIONS[ours]


def decoder_fields(config: ModelConfig) -> dict[str, Any]:
    """The config.json fields that describe the shape; what a family adds (biases, windows) is its own to write."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.mlp_width,
        "hidden_act": activation_name(config.activation),
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "attention_dropout": 0.0,
        "initializer_range": config.init_std,
        **rope_fields(config),
    }


def decoder_axes(fields: Fields) -> dict[str, Any]:
    """The axes that a public config.json states about the shape. Raises DataError for what is missing or not built here.

    Absent fields must have been given the defaults of their family before, where these are not those below.
    """
    refuse(fields, {})
    heads, width = wanted(fields, "num_attention_heads"), wanted(fields, "hidden_size")
    return {
        "vocab_size": wanted(fields, "vocab_size"),
        "width": width,
        "depth": wanted(fields, "num_hidden_layers"),
        "heads": heads,
        "kv_heads": fields.get("num_key_value_heads") or heads,
        "head_dim": fields.get("head_dim") or width // heads,
        "mlp_width": wanted(fields, "intermediate_size"),
        "max_positions": wanted(fields, "max_position_embeddings"),
        "activation": known_activation(fields.get("hidden_act", "silu")),
        "norm_eps": fields.get("rms_norm_eps", 1e-6),
        "tied": fields.get("tie_word_embeddings", False),
        "init_std": fields.get("initializer_range", 0.02),
        **rope_axes(fields),
    }


def bias_clash(config: ModelConfig) -> str | None:
    """What a layout with one word for all biases of attention cannot hold (see Family.clash)."""
    return f"attn_bias={config.attn_bias} with out_bias={config.out_bias}" if config.attn_bias != config.out_bias else None


def bias_axes(fields: Fields) -> dict[str, Any]:
    """The biases of attention, all of them or none."""
    bias = fields.get("attention_bias", False)
    return {"attn_bias": bias, "out_bias": bias}


def upper_windows(window: int | None, *, full_layers: int, depth: int) -> tuple[int | None, ...]:
    """Layers that see everything, then layers with a window; () without a window."""
    windows = tuple(window if layer >= full_layers else None for layer in range(depth))
    return windows if any(windows) else ()


def window_clash(config: ModelConfig, *, in_every_layer: bool = False) -> str | None:
    """What a layout with one size of windows cannot hold (see Family.clash)."""
    sizes = set(config.windows) if in_every_layer else set(config.windows) - {None}
    return f"windows={config.windows}" if len(sizes) > 1 else None


def window_fields(config: ModelConfig) -> dict[str, Any]:
    """Which layers see only a window, as qwen2 and qwen3 say it."""
    windows = config.windows or (None,) * config.depth
    size = next((window for window in windows if window is not None), None)
    if size is None:
        return {"use_sliding_window": False}
    return {
        "use_sliding_window": True,
        "sliding_window": size,
        "max_window_layers": next(layer for layer, window in enumerate(windows) if window is not None),
        "layer_types": ["full_attention" if window is None else "sliding_attention" for window in windows],
    }


def window_axes(fields: Fields) -> dict[str, Any]:
    """The windows of a config.json that says them as qwen2 and qwen3 do. Raises DataError for other kinds of layers."""
    depth, size = wanted(fields, "num_hidden_layers"), fields.get("sliding_window", 4096)
    is_used = bool(fields.get("use_sliding_window", False)) and size is not None
    first = fields.get("max_window_layers", 28)
    kinds = fields.get("layer_types")
    if kinds is None:
        kinds = ["sliding_attention" if is_used and layer >= first else "full_attention" for layer in range(depth)]
    strange = sorted(set(kinds) - {"full_attention", "sliding_attention"})
    if strange or ("sliding_attention" in kinds and not is_used):
        said = f"use_sliding_window={fields.get('use_sliding_window', False)}, sliding_window={size}"
        raise DataError(f"config.json: layer_types={strange or ['sliding_attention']} is not supported with {said}")
    windows = tuple(size if kind == "sliding_attention" else None for kind in kinds)
    return {"windows": windows if any(windows) else ()}


def rope_fields(config: ModelConfig) -> dict[str, Any]:
    """The rotary positions, as old and new transformers read them."""
    scaling = config.rope_scaling
    said: dict[str, Any] = {"rope_theta": config.rope_theta}
    if scaling is None:
        return {**said, "rope_parameters": {"rope_type": "default", **said}}
    how: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":  # linear scaling has no original length; transformers keeps the field and does not read it
        return {**said, "rope_scaling": how, "rope_parameters": {**how, **said}, _LENGTH: scaling.original_positions}
    how[_LENGTH] = scaling.original_positions
    if scaling.kind == "llama3":
        how |= {"low_freq_factor": scaling.low_frequency, "high_freq_factor": scaling.high_frequency}
    else:
        how |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow, "truncate": scaling.truncate}
        how |= {} if scaling.magnitude is None else {"attention_factor": scaling.magnitude}
    return {**said, "rope_scaling": how, "rope_parameters": {**how, **said}}


def rope_axes(fields: Fields) -> dict[str, Any]:
    """The rotary positions a config.json states, in any of its dialects. Raises DataError for kinds not built here."""
    rope = dict(fields.get("rope_scaling") or fields.get("rope_parameters") or {})
    theta = float(rope.pop("rope_theta", None) or fields.get("rope_theta") or 10_000.0)
    older = rope.pop("type", None)
    kind = rope.pop("rope_type", None) or older or "default"
    refuse(rope, {})
    rope.pop("partial_rotary_factor", None)
    length = fields.get(_LENGTH) or rope.pop(_LENGTH, None) or wanted(fields, "max_position_embeddings")
    rope.pop(_LENGTH, None)
    if kind not in _ROPE_KEYS:
        raise DataError(f"config.json: rope_type={kind!r} is not supported; known: {', '.join(_ROPE_KEYS)}")
    strange = sorted(set(rope) - _ROPE_KEYS[kind])
    if strange:
        raise DataError(f"config.json: {', '.join(strange)} is not supported in the rope parameters of type {kind!r}")
    return {"rope_theta": theta, "rope_scaling": None if kind == "default" else _scaling(kind, rope, fields, length)}


def _scaling(kind: str, rope: Fields, fields: Fields, length: int) -> dict[str, Any]:
    factor = rope.get("factor") or fields["max_position_embeddings"] / length
    axes = {"kind": kind, "factor": factor, "original_positions": length}
    if kind == "llama3":
        low, high = rope.get("low_freq_factor"), rope.get("high_freq_factor")
        if low is None or high is None or not 0 < low < high:
            raise DataError(f"config.json: low_freq_factor={low}, high_freq_factor={high}; want 0 < low < high")
        return {**axes, "low_frequency": low, "high_frequency": high}
    if kind == "yarn":
        fast, slow = rope.get("beta_fast") or 32.0, rope.get("beta_slow") or 1.0
        magnitude = rope.get("attention_factor")
        if magnitude is None:
            magnitude = _relative_magnitude(factor, rope.get("mscale"), rope.get("mscale_all_dim"))
        return {**axes, "beta_fast": fast, "beta_slow": slow, "truncate": rope.get("truncate", True), "magnitude": magnitude}
    return axes


def _relative_magnitude(factor: float, scale: float | None, scale_all: float | None) -> float | None:
    """What yarn multiplies cosines and sines with when a config weighs its growth by two numbers; None: neither."""
    if not scale or not scale_all:
        return None
    grown = [0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0 for weight in (scale, scale_all)]
    return grown[0] / grown[1]
