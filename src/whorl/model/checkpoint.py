"""model/checkpoint: a model as a Hugging Face folder that transformers loads unchanged, and back.

    config.json  model.safetensors (or shards and an index)  generation_config.json  tokenizer files  whorl.json

`whorl.json` carries what the public files cannot: format version, family, and whatever the writer adds (tokenizer and
renderer fingerprints). Reading needs only the public files. Weights stream one tensor at a time, so that neither way holds a
second copy of the model. Does not store training state; no pickle is read or written.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.families import Family, family_of
from whorl.model.shards import read_json, read_weights, write_weights
from whorl.model.transformer import Transformer

__all__ = ["Loaded", "SpecialIds", "Storage", "load", "load_config", "require_tokenizer_fit", "save"]

FORMAT = 1
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


class SpecialIds(NamedTuple):
    """Token ids that public loaders ask for; the defaults are those of the house's tokenizers."""

    bos: int = 0
    eos: int = 1
    pad: int = 2


class Storage(NamedTuple):
    """How a checkpoint is written."""

    dtype: torch.dtype = torch.float32
    shard_bytes: int = 5_000_000_000  # a file holds at most this much, or one tensor
    special: SpecialIds = SpecialIds()


@dataclass(frozen=True)
class Loaded:
    """A model with what its folder said about it."""

    model: Transformer
    config: ModelConfig
    family: str
    folder: Path
    extra: Mapping[str, Any]


def save(
    folder: Path,
    model: Transformer,
    *,
    family: str,
    tokenizer_folder: Path | None = None,
    extra: Mapping[str, Any] | None = None,
    storage: Storage = Storage(),
) -> None:
    """Write a checkpoint; equal weights give equal bytes. Raises ConfigError when the family's layout cannot hold the model."""
    member = Family.find(family, frozenset())
    fields = member.to_hub(model.config)
    if tokenizer_folder is not None:
        require_tokenizer_fit(family, tokenizer_folder)
    folder.mkdir(parents=True, exist_ok=True)
    special = storage.special
    ids = {"bos_token_id": special.bos, "eos_token_id": special.eos, "pad_token_id": special.pad}
    dtype = DTYPES[storage.dtype]
    _write_json(folder / "config.json", {**fields, "torch_dtype": dtype, "use_cache": True, **ids})
    _write_json(folder / "generation_config.json", {"do_sample": False, **ids})
    _write_json(folder / "whorl.json", {"format": FORMAT, "family": family, "extra": dict(extra or {})})
    write_weights(
        folder, model.state_dict(), layout=member.layout_of(model.config), dtype=storage.dtype, max_bytes=storage.shard_bytes
    )
    for name in TOKENIZER_FILES if tokenizer_folder else ():
        source = Path(str(tokenizer_folder)) / name
        if source.is_file():
            shutil.copyfile(source, folder / name)


def require_tokenizer_fit(family: str, tokenizer_folder: Path) -> None:
    """Raise ConfigError for a tokenizer that public loaders would not take as it is written in a checkpoint of this family.

    transformers rebuilds the tokenizers of some model types from their vocabulary alone, and gives other ids without a word.
    """
    split = Family.find(family, frozenset()).split
    path = tokenizer_folder / "tokenizer.json"
    if split is None or not path.is_file():
        return
    said = read_json(path)
    steps = (said.get("pre_tokenizer") or {}).get("pretokenizers", ())
    patterns = [step["pattern"].get("Regex") for step in steps if step.get("type") == "Split"]
    if patterns != [split] or (said.get("normalizer") or {}).get("type") != "NFC":
        raise ConfigError(
            f"{path}: transformers reads every tokenizer beside a {family} model as the published one (NFC, its own words), so "
            "that some texts get other ids than here; use qwen3 or llama, or the published tokenizer"
        )


def load_config(folder: Path) -> tuple[type[Family], ModelConfig]:
    """Family and architecture of any folder in a known public layout."""
    fields = read_json(folder / "config.json")
    member = family_of(fields)
    return member, member.from_hub(fields)


def load(folder: Path, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Loaded:
    """Read a checkpoint, whole or sharded; weights and activations get `dtype`.

    Memory: the model once, and one tensor of the file. Raises DataError naming missing, unexpected or misshapen weights.
    """
    member, config = load_config(folder)
    said = read_json(folder / "whorl.json") if (folder / "whorl.json").is_file() else {}
    if said.get("format", FORMAT) != FORMAT:
        raise DataError(
            f"{folder / 'whorl.json'}: format {said['format']}, want {FORMAT}; this whorl is too old or too new for it"
        )
    model = Transformer.blank(config, dtype=dtype, device=device)
    read_weights(folder, model.state_dict(), layout=member.layout_of(config))
    model.compute_dtype = dtype
    return Loaded(model, config, member.model_type, folder, said.get("extra", {}))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
