"""tokens/foreign: a vocabulary of somebody else, with tokens that open and close documents and turns.

Pieces and their ids stay as they are. A token that the house needs and the vocabulary lacks gets an id after all others; what
was taken from where, and what was added, is said. Replaces the post-processor, which frames texts for another model's habits.
Reads folders and files of Hugging Face tokenizers and tiktoken rank files; does not download, and reads no SentencePiece
`.model` and no slow tokenizer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from whorl.core.errors import ArtifactError, DataError, suggestion
from whorl.tokens.hub import document_frame, hub_files
from whorl.tokens.rank_file import added_token, read_ranks, vocabulary_of_ranks
from whorl.tokens.tokenizer import BOS, CONFIG_FILE, END, MASK, PAD, ROLE_TOKENS, VOCABULARY_FILE, Tokenizer
from whorl.tokens.vocabulary import Vocabulary

__all__ = ["Brought", "Names", "bring_in", "found_files", "read_hugging_face", "read_tiktoken"]

_PUBLIC: Final = {"bos": "bos_token", "end": "eos_token", "pad": "pad_token"}
_OURS: Final = {"bos": BOS, "end": END, "pad": PAD}


@dataclass(frozen=True)
class Names:
    """Which of the vocabulary's tokens are to open, close and fill. None: what its own config says, else one is added."""

    bos: str | None = None
    end: str | None = None
    pad: str | None = None
    roles: Mapping[Any, str] | None = None  # role -> token, for those not called as in the house; None: no chat at all
    mask: str | None = None  # hides a token; `<|mask|>` is added where it is missing. None: what the config says, or no mask


class Source(NamedTuple):
    """A vocabulary as found, and what the config beside it calls its tokens."""

    vocabulary: Vocabulary
    config: Mapping[str, Any]


class Brought(NamedTuple):
    """A tokenizer of the house, and the tokens that had to be added to it."""

    tokenizer: Tokenizer
    added: tuple[str, ...]


def found_files(path: Path) -> list[Path]:
    """The files a vocabulary at `path` is read from. Raises DataError when there is none."""
    if path.is_file():
        beside = path.with_name(CONFIG_FILE)
        return [path, beside] if path.name == VOCABULARY_FILE and beside.is_file() else [path]
    if (path / VOCABULARY_FILE).is_file():
        return [file for file in (path / VOCABULARY_FILE, path / CONFIG_FILE) if file.is_file()]
    ranked = sorted(path.glob("*.tiktoken")) if path.is_dir() else []
    if len(ranked) == 1:
        return ranked
    raise DataError(
        f"{path}: no {VOCABULARY_FILE}{f' and {len(ranked)} *.tiktoken files' if ranked else ' and no *.tiktoken file'} there; "
        "want one vocabulary (a SentencePiece .model is converted with transformers' save_pretrained first)"
    )


def read_hugging_face(files: list[Path]) -> Source:
    """A tokenizer.json and, if there is one, its tokenizer_config.json. Raises ArtifactError or DataError."""
    vocabulary = Vocabulary.parse(_text(files[0]), str(files[0]))
    if len(files) == 1:
        return Source(vocabulary, {})
    try:
        config = json.loads(_text(files[1]))
    except ValueError as error:
        raise DataError(f"{files[1]}: not JSON ({error}); copy it again from its source") from error
    if not isinstance(config, dict):
        raise DataError(f"{files[1]}: want a JSON object")
    return Source(vocabulary, config)


def read_tiktoken(file: Path, *, pattern: str, special: Mapping[str, int]) -> Source:
    """A rank file, with what it does not say. Raises DataError."""
    ranks = read_ranks(file.read_bytes(), str(file))
    return Source(Vocabulary(vocabulary_of_ranks(ranks, pattern=pattern, special=special)), {})


def bring_in(source: Source, names: Names, where: str) -> Brought:
    """A tokenizer whose text ids are the vocabulary's. Raises DataError when the names do not fit it."""
    special = source.vocabulary.special
    frame = {name: _framing(name, getattr(names, name), source) for name in _PUBLIC}
    if names.pad is None and frame["pad"] in (frame["end"], frame["bos"]):
        frame["pad"] = PAD  # padding is told from an end by its id
    roles = {} if names.roles is None else {role: _role(role, names.roles, special) for role in ROLE_TOKENS}
    mask = _mask(names.mask, source)
    hides = {} if mask is None else {"mask": mask}
    _check_distinct(frame, roles | hides, where)
    needed = dict.fromkeys([*frame.values(), *roles.values(), *hides.values()])
    added = tuple(token for token in needed if token not in special)
    clash = [token for token in added if token in source.vocabulary.pieces or _is_plain_added(source.vocabulary, token)]
    if clash:
        raise DataError(
            f"{where}: {clash[0]} is an ordinary token of this vocabulary, so a text may hold it; name a special one"
        )
    data = _extended(source.vocabulary, added)
    known = Vocabulary(data).special
    data["post_processor"] = document_frame(frame, known)
    ordered = dict(sorted(known.items(), key=lambda pair: pair[1]))
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    return Brought(Tokenizer(hub_files(text, frame=frame, roles=roles, special=ordered, mask=mask), where), added)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{file}: not UTF-8 ({error}); want a {VOCABULARY_FILE}") from error


def _framing(name: str, wanted: str | None, source: Source) -> str:
    special = source.vocabulary.special
    if wanted is not None:
        return _existing(name, wanted, special)
    return _said(_PUBLIC[name], source) or _OURS[name]


def _mask(wanted: str | None, source: Source) -> str | None:
    if wanted is None:
        return _said("mask_token", source)
    return wanted if wanted == MASK else _existing("mask", wanted, source.vocabulary.special)


def _said(key: str, source: Source) -> str | None:
    """The special token that the config beside the vocabulary calls so."""
    said = source.config.get(key)
    said = said.get("content") if isinstance(said, dict) else said
    return said if isinstance(said, str) and said in source.vocabulary.special else None


def _role(role: str, wanted: Mapping[str, str], special: Mapping[str, int]) -> str:
    return _existing(f"roles.{role}", wanted[role], special) if role in wanted else ROLE_TOKENS[role]


def _existing(field: str, token: str, special: Mapping[str, int]) -> str:
    if token not in special:
        hint = suggestion(token, sorted(special)[:40])
        raise DataError(f"{field}: '{token}' is no special token of this vocabulary{hint}; leave {field} out to have one added")
    return token


def _check_distinct(frame: Mapping[str, str], roles: Mapping[str, str], where: str) -> None:
    """A document may be opened and closed by the same token; nothing else may mean two things."""
    meanings: dict[str, str] = {}
    for name, token in [*frame.items(), *roles.items()]:
        other = meanings.setdefault(token, name)
        if other != name and {name, other} != {"bos", "end"}:
            raise DataError(f"{where}: {token} would be both {other} and {name}; name another token for one of them")


def _is_plain_added(vocabulary: Vocabulary, token: str) -> bool:
    return any(one["content"] == token for one in vocabulary.plain_added)


def _extended(vocabulary: Vocabulary, added: tuple[str, ...]) -> dict[str, Any]:
    """The file with more special tokens, after all ids there are."""
    new = {token: vocabulary.size + number for number, token in enumerate(added)}
    listed = [*vocabulary.added, *(added_token(token, number) for token, number in new.items())]
    data = {**vocabulary.data, "added_tokens": listed, "truncation": None, "padding": None}
    is_sparse = len(vocabulary.ids) < vocabulary.size
    if is_sparse and isinstance(vocabulary.model["vocab"], dict):
        # The library numbers added tokens without gaps, but takes ids from the model as they are.
        data["model"] = {**vocabulary.model, "vocab": {**vocabulary.model["vocab"], **new}}
    return data
