"""tokens/rank_file: a tiktoken vocabulary (base64 token, rank, one a line) as the content of a tokenizer.json.

tiktoken joins whichever neighbours make the token of the lowest rank; here every way to join two tokens into a third is a
merge, in the order of the ranks. The file does not say how text is split nor which tokens are special: the caller does.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from whorl.core.errors import DataError
from whorl.tokens.vocabulary import as_letters

__all__ = ["read_ranks", "vocabulary_of_ranks"]


def read_ranks(data: bytes, where: str) -> dict[bytes, int]:
    """Token -> rank. Raises DataError naming the line that is none, for a rank given twice, and for a byte without a rank."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise DataError(
                f"{where}:{number}: not a line of a tiktoken vocabulary ({error}); want a base64 token, a space and its rank"
            ) from error
    if len(set(ranks.values())) != len(ranks) or min(ranks.values(), default=0) < 0:
        raise DataError(f"{where}: a rank is negative or given twice; the file was altered: copy it again from its source")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise DataError(
            f"{where}: {len(missing)} of 256 single bytes have no rank (first: 0x{missing[0]:02X}), so some texts could not be "
            "written; want a whole tiktoken vocabulary"
        )
    return ranks


def vocabulary_of_ranks(ranks: Mapping[bytes, int], *, pattern: str, special: Mapping[str, int]) -> dict[str, Any]:
    """The content of a tokenizer.json that gives tiktoken's ids. Raises DataError for a special token on another's id."""
    taken = set(ranks.values()) & set(special.values())
    if taken or len(set(special.values())) != len(special):
        raise DataError(f"special tokens share ids with others: {sorted(taken) or sorted(special.values())}; give each its own")
    letters = {token: as_letters(token) for token in ranks}
    vocab = {letters[token]: rank for token, rank in sorted(ranks.items(), key=lambda pair: pair[1])}
    clash = sorted(token for token in special if token in vocab)
    if clash:
        raise DataError(f"special token {clash[0]} is also an ordinary token of the vocabulary; give it another spelling")
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(token, number) for token, number in sorted(special.items(), key=lambda pair: pair[1])],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,  # tiktoken looks a word up whole before it joins anything
            # Special ids may leave gaps, which the library allows in the model only.
            "vocab": vocab | dict(sorted(special.items(), key=lambda pair: pair[1])),
            "merges": _merges(ranks, letters),
        },
    }


def added_token(token: str, number: int) -> dict[str, Any]:
    """A special token as a tokenizer.json lists it."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": token, **flags, "special": True}


def _merges(ranks: Mapping[bytes, int], letters: Mapping[bytes, str]) -> list[list[str]]:
    found = []
    for token, rank in ranks.items():
        for place in range(1, len(token)):
            left, right = token[:place], token[place:]
            if left in ranks and right in ranks:
                found.append((rank, ranks[left], ranks[right], left, right))
    found.sort(key=lambda merge: merge[:3])
    return [[letters[left], letters[right]] for _, _, _, left, right in found]
