"""text/html_hints: what class names, ids and roles hint at, found in one pass per attribute by an automaton over phrases.

A phrase is lower-case letters with `|` for the edge of a word: `|nav|` is the word, `share|` ends one, `comment` is found
anywhere. `mainNav2 post-body` reads as `|main|nav|post|body|`. Many phrases may share a bit. Aho and Corasick 1975,
https://doi.org/10.1145/360825.360855. Does not say what a hint means; its callers do.
"""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel

__all__ = ["HIDDEN", "HTML_PHRASES", "LD_JSON", "LICENCE", "MAX_BIT", "hint_automaton", "hints_in", "scan_hints"]

# Bits the tokenizer itself uses; callers number theirs below.
MAX_BIT = 58
LICENCE, HIDDEN, LD_JSON = 59, 60, 61
HTML_PHRASES: Mapping[int, Sequence[str]] = {
    HIDDEN: ("|display|none|", "|visibility|hidden|"),
    LD_JSON: ("|ld|json|",),
    LICENCE: ("|license|", "|licence|"),
}

_EDGE, _FOUND = 0, 27  # columns of a state: the edge, 26 letters, and what was found


def hint_automaton(phrases: Mapping[int, Sequence[str]], *, of_page: bool = True) -> npt.NDArray[np.int64]:
    """States x 28 for phrases by bit, with HTML_PHRASES if it is for pages: the next state of each symbol,
    then the bits found on arriving.

    Raises ValueError for a bit or letter out of range.
    """
    if any(not 0 <= bit <= MAX_BIT for bit in phrases):
        raise ValueError(f"bits {sorted(phrases)}: want 0 to {MAX_BIT}")
    table = [_new_state()]
    for bit, spelt in {**(HTML_PHRASES if of_page else {}), **phrases}.items():
        for phrase in spelt:
            _add(table, phrase, 1 << bit)
    _close(table)
    made = np.array(table, dtype=np.int64)
    made.flags.writeable = False
    return made


def hints_in(text: str, hints: npt.NDArray[np.int64]) -> int:
    """Bits of every phrase in one attribute value."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    return int(scan_hints(data, 0, len(data), hints))


def _new_state() -> list[int]:
    return [-1] * _FOUND + [0]


def _add(table: list[list[int]], phrase: str, bits: int) -> None:
    state = 0
    for letter in phrase:
        symbol = _EDGE if letter == "|" else ord(letter) - ord("a") + 1
        if not 0 <= symbol < _FOUND:
            raise ValueError(f"{phrase!r}: want lower-case letters and '|'")
        if table[state][symbol] < 0:
            table[state][symbol] = len(table)
            table.append(_new_state())
        state = table[state][symbol]
    table[state][_FOUND] |= bits


def _close(table: list[list[int]]) -> None:
    """Turn the trie into an automaton: breadth first, every missing move becomes the move of the longest suffix."""
    suffix = [0] * len(table)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        row, above = table[state], table[suffix[state]]
        row[_FOUND] |= above[_FOUND]
        for symbol in range(_FOUND):
            fallback = above[symbol] if state else 0
            if row[symbol] < 0:
                row[symbol] = fallback
            else:
                suffix[row[symbol]] = fallback
                queue.append(row[symbol])


@kernel()
def scan_hints(data, i, end, hints):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Bits of every phrase in bytes i to end."""
    state = hints[0, _EDGE]
    bits = hints[state, _FOUND]
    last = 0  # what came before: 0 an edge, 1 a capital, 2 a small letter
    while i < end:
        symbol = np.int64(data[i] | 32) - 96
        kind = 0 if symbol < 1 or symbol >= _FOUND else 1 if data[i] < 96 else 2
        i += 1
        if kind == 0 and last == 0:
            continue
        if kind == 0 or (kind == 1 and last == 2):
            state = hints[state, _EDGE]
            bits |= hints[state, _FOUND]
        if kind:
            state = hints[state, symbol]
            bits |= hints[state, _FOUND]
        last = kind
    if last:
        bits |= hints[hints[state, _EDGE], _FOUND]
    return bits
