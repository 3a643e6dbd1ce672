"""model/encoder: what the public layouts of models that look both ways share: heads that fill the width, and classes.

Does not name parameters: each family's layout does.
"""

from collections.abc import Mapping
from typing import Any

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.dials import head_dim_for, heads_for
from whorl.model.hub import wanted

__all__ = ["class_fields", "head_axes", "head_clash", "num_classes", "stated_heads", "with_bias"]


def head_axes(width: int, heads: int | None) -> dict[str, int]:
    """Heads of one width that fill the stream. Raises ConfigError when they do not."""
    if heads and width % heads:
        raise ConfigError(f"width={width} is not a multiple of heads={heads}; this family's heads fill the width exactly")
    heads = heads or heads_for(width, head_dim_for(width))
    return {"heads": heads, "kv_heads": heads, "head_dim": width // heads}


def stated_heads(fields: Mapping[str, Any]) -> dict[str, int]:
    """The same of a public config.json. Raises DataError."""
    width, heads = wanted(fields, "hidden_size"), wanted(fields, "num_attention_heads")
    if heads < 1 or width % heads:
        raise DataError(f"config.json: num_attention_heads={heads} do not fill hidden_size={width}; want a divisor of it")
    return {"width": width, "heads": heads, "kv_heads": heads, "head_dim": width // heads}


def head_clash(config: ModelConfig) -> str | None:
    """How the heads fail to fill the width, as Family.misfit says it; None: they fill it."""
    if config.kv_heads != config.heads:
        return f"kv_heads={config.kv_heads} with heads={config.heads}"
    if config.heads * config.head_dim != config.width:
        return f"head_dim={config.head_dim} with heads={config.heads} and width={config.width}"
    return None


def class_fields(count: int) -> dict[str, Any]:
    """How config.json says how many classes there are: by naming them."""
    names = [f"LABEL_{number}" for number in range(count)]
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }


def num_classes(fields: Mapping[str, Any]) -> int:
    """Classes of a public config.json; it means two where it says nothing."""
    if "id2label" in fields:
        return len(fields["id2label"] or {})
    count: int = fields.get("num_labels", 2)
    return count


def with_bias(keys: Mapping[str, str]) -> dict[str, str]:
    """Names of modules, ours -> public, spelled out as those of their weight and bias."""
    return {f"{ours}.{end}": f"{public}.{end}" for ours, public in keys.items() for end in ("weight", "bias")}
