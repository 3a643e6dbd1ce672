"""model/checkpoint: a model as a Hugging Face folder that transformers loads unchanged, and back.

    config.json  model.safetensors (float32)  generation_config.json  tokenizer files  whorl.json

`whorl.json` carries what the public files cannot: format version, family, and whatever the writer adds (tokenizer and
renderer fingerprints). Reading needs only the public files. Does not store training state; no pickle is read or written.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from whorl.core.errors import DataError
from whorl.model.config import ModelConfig
from whorl.model.families import Family, family_of
from whorl.model.hub import public_names
from whorl.model.transformer import Transformer

__all__ = ["Loaded", "SpecialIds", "load", "load_config", "save"]

FORMAT = 1
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


class SpecialIds(NamedTuple):
    """Token ids that public loaders ask for; the defaults are those of the house's tokenizers."""

    bos: int = 0
    eos: int = 1
    pad: int = 2


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
    special: SpecialIds = SpecialIds(),
) -> None:
    """Write a checkpoint; equal weights give equal bytes. Raises ConfigError when the family's layout cannot hold the model."""
    member = Family.find(family, frozenset())
    fields = member.to_hub(model.config)
    folder.mkdir(parents=True, exist_ok=True)
    ids = {"bos_token_id": special.bos, "eos_token_id": special.eos, "pad_token_id": special.pad}
    _write_json(folder / "config.json", {**fields, "torch_dtype": "float32", "use_cache": True, **ids})
    _write_json(folder / "generation_config.json", {"do_sample": False, **ids})
    _write_json(folder / "whorl.json", {"format": FORMAT, "family": family, "extra": dict(extra or {})})
    names = public_names(member.keys, [name for name, _ in model.named_parameters()])
    weights = {names[name]: value.detach().float().cpu().contiguous() for name, value in model.named_parameters()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    for name in TOKENIZER_FILES if tokenizer_folder else ():
        source = Path(str(tokenizer_folder)) / name
        if source.is_file():
            shutil.copyfile(source, folder / name)


def load_config(folder: Path) -> tuple[type[Family], ModelConfig]:
    """Family and architecture of any folder in a known public layout."""
    fields = _read_json(folder / "config.json")
    member = family_of(fields)
    return member, member.from_hub(fields)


def load(folder: Path, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Loaded:
    """Read a checkpoint, whole or sharded; weights and activations get `dtype`.

    Raises DataError naming missing, unexpected or misshapen weights.
    """
    member, config = load_config(folder)
    model = Transformer(config)
    _fill(
        model, _read_weights(folder), names=public_names(member.keys, [n for n, _ in model.named_parameters()]), folder=folder
    )
    model.to(device=device)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    model.compute_dtype = dtype
    said = _read_json(folder / "whorl.json") if (folder / "whorl.json").is_file() else {}
    if said.get("format", FORMAT) != FORMAT:
        raise DataError(
            f"{folder / 'whorl.json'}: format {said['format']}, want {FORMAT}; this whorl is too old or too new for it"
        )
    return Loaded(model, config, member.model_type, folder, said.get("extra", {}))


def _fill(model: Transformer, weights: Mapping[str, Tensor], *, names: Mapping[str, str], folder: Path) -> None:
    spare = {"lm_head.weight"} if model.config.tied else set()  # some writers store the tied matrix twice
    missing = sorted(set(names.values()) - set(weights))
    unexpected = sorted(set(weights) - set(names.values()) - spare)
    if missing or unexpected:
        raise DataError(
            f"{folder}: weights do not match config.json; missing: {_shown(missing)}; unexpected: {_shown(unexpected)}"
        )
    for name, parameter in model.named_parameters():
        found = weights[names[name]]
        if found.shape != parameter.shape:
            raise DataError(f"{folder}: {names[name]} has shape {tuple(found.shape)}, want {tuple(parameter.shape)}")
        if not found.is_floating_point():
            raise DataError(
                f"{folder}: {names[name]} holds {found.dtype}; quantised weights are not supported, want floating point"
            )
        parameter.data = found.float()


def _read_weights(folder: Path) -> dict[str, Tensor]:
    files = {WEIGHTS}
    if (folder / INDEX).is_file():
        files = {str(name) for name in _read_json(folder / INDEX).get("weight_map", {}).values()}
    strange = sorted(name for name in files if Path(name).name != name)
    if strange or not files:
        raise DataError(f"{folder / INDEX}: want names of files in this folder, got {_shown(strange)}")
    weights: dict[str, Tensor] = {}
    for name in sorted(files):
        try:
            with safe_open(folder / name, framework="pt") as handle:
                weights.update({key: handle.get_tensor(key) for key in handle.keys()})  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError) as error:
            raise DataError(f"{folder / name}: not a readable safetensors file ({error})") from error
    return weights


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: want a JSON object, got {type(value).__name__}")
    return value


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
