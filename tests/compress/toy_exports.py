"""Tiny models that llama.cpp runs, and what it is asked about them. Shared by the tests of exports and by bench."""

from collections.abc import Mapping
from pathlib import Path

from toy_models import filled_model

from whorl.model import checkpoint
from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.tokens.tokenizer import Tokenizer

TOKENIZER = Path(__file__).parents[1] / "golden" / "tokens" / "tokenizer"
VOCAB, POSITIONS = 343, 96  # three rows more than the tokenizer has ids
# Grouped queries, rows that blocks of 32 divide.
TINY = {"depth": 2, "width": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "mlp_width": 96}
CHOSEN = {"experts": 6, "experts_per_token": 3, "expert_width": 32}
OWN: Mapping[str, Mapping[str, object]] = {
    "mistral": {"window": POSITIONS},
    "dots1": {**CHOSEN, "kv_heads": 4},
    "mixtral": {"experts": 4},
    "qwen2_moe": CHOSEN,
    "qwen3_moe": CHOSEN,
}
BIASES = {"attn_bias": True, "out_bias": True}
LLAMA3 = {"kind": "llama3", "factor": 4.0, "original_positions": 64, "low_frequency": 0.5, "high_frequency": 4.0}
LINEAR = {"kind": "linear", "factor": 2.0, "original_positions": 48}
YARN = {"kind": "yarn", "factor": 4.0, "original_positions": 64}
STEEP = {**YARN, "beta_fast": 8.0, "beta_slow": 0.2}

# Each family as it comes, and what its architecture in llama.cpp can hold besides.
VARIANTS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "dots1": ("dots1", {}),
    "dots1_mixed": ("dots1", {"dense_layers": 1, "tied": False, "shared_experts": 2, "routed_scale": 2.5}),
    "dots1_bare": ("dots1", {"normalise_top": False}),
    "gpt2": ("gpt2", {}),
    "gpt2_untied": ("gpt2", {"tied": False}),
    "llama": ("llama", {}),
    "llama_biased": ("llama", {**BIASES, "mlp_bias": True, "tied": False}),
    "llama_wide_heads": ("llama", {"head_dim": 32}),
    "llama_linear": ("llama", {"rope_scaling": LINEAR}),
    "llama_llama3": ("llama", {"rope_scaling": LLAMA3}),
    "llama_yarn": ("llama", {"rope_scaling": {**STEEP, "truncate": False, "magnitude": 1.3}}),
    "mistral": ("mistral", {}),
    "mixtral": ("mixtral", {}),
    "mixtral_untied": ("mixtral", {"tied": False, "experts": 5, "experts_per_token": 3, "rope_scaling": STEEP}),
    "olmo2": ("olmo2", {}),
    "olmo2_untied": ("olmo2", {"tied": False, "kv_heads": 4}),
    "qwen2": ("qwen2", {"rope_scaling": YARN}),
    "qwen2_moe": ("qwen2_moe", {}),
    "qwen2_moe_bare": ("qwen2_moe", {"attn_bias": False, "tied": False, "shared_width": 32}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "qwen3_yarn": ("qwen3", {"rope_scaling": {**YARN, "magnitude": 1.3}, "tied": False}),
    "qwen3_moe": ("qwen3_moe", {"rope_scaling": YARN}),
}


def config_of(family: str, dials: Mapping[str, object]) -> ModelConfig:
    """Dials of the family; what it has no dial for is an axis."""
    member = Family.find(family, frozenset())
    known = member.model_fields
    fitting = {name: value for name, value in {**TINY, **OWN.get(family, {}), **dials}.items() if name in known}
    config = Family.model_validate({"use": family, **fitting}).configure(VOCAB, POSITIONS)
    axes = {name: value for name, value in dials.items() if name not in known}
    return ModelConfig.model_validate({**dict(config), **axes})


def written(folder: Path, family: str, dials: Mapping[str, object]) -> Path:
    """A checkpoint of a filled model with the golden tokenizer beside it."""
    checkpoint.save(folder, filled_model(config_of(family, dials)), family=family)
    Tokenizer.load(TOKENIZER).save(folder)
    return folder
