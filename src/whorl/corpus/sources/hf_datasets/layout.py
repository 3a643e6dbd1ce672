"""corpus/sources/hf_datasets/layout: which files of a dataset belong to which configuration and split.

The rules of https://huggingface.co/docs/hub/datasets-data-files-configuration: what the card's `configs` say, else shards
named `train-00000-of-00005`, else words like `train`, `dev` or `test` in paths, else everything is `train`. Where some paths
have such a word, those without one belong to no split, as there. Does not open data files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from whorl.core.errors import DataError, suggestion

__all__ = ["ALL_SPLITS", "card_of", "licence_of", "split_files"]

ALL_SPLITS = "all"
_CARD = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_SHARD = re.compile(r"(?:^|/)(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*$")
_KEYWORDS = {
    **{"train": "train", "training": "train"},
    **{"validation": "validation", "valid": "validation", "dev": "validation", "val": "validation"},
    **{"test": "test", "testing": "test", "eval": "test", "evaluation": "test"},
}
_WORDS = re.compile(rf"(?:^|[-._ 0-9/])({'|'.join(_KEYWORDS)})(?=[-._ 0-9/]|$)")
_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\{[^{}]+\}|[^*?\[{]+|.")
_Card = Mapping[str, Any]


def card_of(readme: str, where: str) -> _Card:
    """The YAML at the head of a dataset's README; empty when it has none. Raises DataError when it is not YAML."""
    match = _CARD.match(readme.removeprefix("\ufeff"))
    if match is None:
        return {}
    try:
        card = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        raise DataError(f"{where}: the card at its head is not YAML ({str(error)[:200]})") from error
    return card if isinstance(card, dict) else {}


def licence_of(card: _Card) -> str | None:
    """The licence a card names, as written there: several are joined by commas, and `other` goes by its own name."""
    named = card.get("license")
    if named == "other":
        named = card.get("license_name") or named
    names = named if isinstance(named, list) else [named]
    return ", ".join(str(name) for name in names if name) or None


def split_files(paths: Sequence[str], card: _Card, config: str | None, split: str) -> list[str]:
    """Paths of one split of one configuration, sorted. Raises DataError naming what there is instead."""
    chosen = _config(card, config)
    splits = _written(paths, chosen["data_files"]) if "data_files" in chosen else _found(paths, chosen.get("data_dir"))
    if split == ALL_SPLITS:
        files = sorted({path for found in splits.values() for path in found})
    elif split in splits:
        files = sorted(set(splits[split]))
    else:
        raise DataError(f"no split '{split}'{suggestion(split, sorted(splits))}; or set split: {ALL_SPLITS}")
    if not files:
        raise DataError(f"split '{split}' has no files among the {len(paths)} of the dataset; look at data_files in its card")
    return files


def _config(card: _Card, name: str | None) -> _Card:
    """The configuration of that name, or the one that is meant by none."""
    written = card.get("configs") or []
    configs = {str(config.get("config_name", "default")): config for config in written if isinstance(config, dict)}
    if not configs:
        if name in (None, "default"):
            return {}
        raise DataError(f"no config '{name}': the card of the dataset names none; leave config out")
    if name is None:
        marked = [key for key, config in configs.items() if config.get("default") is True or key == "default"]
        name = next(iter(marked or (configs if len(configs) == 1 else ())), None)
        if name is None:
            raise DataError(f"the dataset has configs {', '.join(sorted(configs))}; set config to one of them")
    if name not in configs:
        raise DataError(f"no config '{name}'{suggestion(name, sorted(configs))}")
    return configs[name]


def _written(paths: Sequence[str], data_files: object) -> dict[str, list[str]]:
    """Files by split, as a card spells them: patterns, or patterns by split, in any of the shapes that are in use."""
    splits: dict[str, list[str]] = {}
    for split, pattern in _patterns(data_files, "train"):
        wanted = re.compile(_regex(pattern))
        splits.setdefault(split, []).extend(path for path in paths if wanted.fullmatch(path))
    return splits


def _patterns(value: object, split: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield split, value.removeprefix("./")
    elif isinstance(value, list):
        for item in value:
            yield from _patterns(item, split)
    elif isinstance(value, dict) and "path" in value:
        yield from _patterns(value["path"], str(value.get("split", split)))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _patterns(item, str(key))


def _found(paths: Sequence[str], folder: object) -> dict[str, list[str]]:
    """Files by split, as their names tell."""
    inside = f"{str(folder).strip('/')}/" if folder else ""
    own = {path: path.removeprefix(inside) for path in paths if path.startswith(inside)}
    for rule in (_shard_split, _word_split):
        by_rule = {path: rule(name) for path, name in own.items()}
        if any(by_rule.values()):
            return {split: [path for path, of in by_rule.items() if of == split] for split in by_rule.values() if split}
    return {"train": list(own)} if own else {}


def _shard_split(path: str) -> str | None:
    match = _SHARD.search(path)
    return match.group(1) if match else None


def _word_split(path: str) -> str | None:
    words = _WORDS.findall(path.lower())
    return _KEYWORDS[words[-1]] if words else None


def _regex(pattern: str) -> str:
    """A glob as fsspec reads it: `*` stays within a folder, `**` does not, `{a,b}` is either."""
    return "".join(_regex_of(token) for token in _GLOB.findall(pattern))


def _regex_of(token: str) -> str:
    if token in _WILD:
        return _WILD[token]
    if token[0] == "{" and len(token) > 1:
        return f"(?:{'|'.join(_regex(choice) for choice in token[1:-1].split(','))})"
    if token[0] == "[" and len(token) > 1:
        inside = token[1:-1].replace("\\", "\\\\")
        return f"[^{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
    return re.escape(token)


_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
