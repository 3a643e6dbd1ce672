"""evals/windows: cut a document into windows so that every token is scored once and none without context.

A document that fits in one window is one window. A longer one is read by windows that overlap by half: the first scores all
its tokens, each later one scores its second half, and the last one ends with the document.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Window", "windows"]


class Window(NamedTuple):
    """Tokens `start:stop` of a document are read; tokens `first:stop` are scored."""

    start: int
    stop: int
    first: int


def windows(num_tokens: int, width: int) -> Iterator[Window]:
    """Windows over tokens 0 .. num_tokens - 1; token 0 is the begin mark, read but never scored.

    Every scored token behind the first window has at least `width // 2` tokens of the document before it in its window.
    """
    if width < 2:
        raise ValueError(f"width={width}: want at least 2 tokens, one to read and one to score")
    first = 1
    while first < num_tokens:
        stop = min(width, num_tokens) if first == 1 else min(first + width - width // 2, num_tokens)
        yield Window(max(0, stop - width), stop, first)
        first = stop
