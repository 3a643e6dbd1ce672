"""infer/stops: where an answer ends because it has spelled a stop string, and what of it may be shown before that is known.

Works on bytes: a stop string may begin inside a token, span several, or end in the middle of one, and a token may hold half a
character. One automaton over all stop strings (Aho and Corasick 1975, https://doi.org/10.1145/360825.360855) reads every byte
once. Does not know stop ids: those end an answer by being said, and spell nothing.
"""

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from whorl.core.errors import UsageError

__all__ = ["StopHit", "StopStrings"]

AUTOMATA = 64  # sets of stop strings kept ready: a server sees few of them


class StopHit(NamedTuple):
    """An answer has spelled a stop string."""

    stop: str
    num_bytes: int  # of the answer's text before the stop string
    num_tokens: int  # fed so far: the last of them completed it
    num_whole: int  # tokens all of whose bytes lie before the stop string


@dataclass(frozen=True)
class _Automaton:
    """States are prefixes of the stop strings; state 0 is the empty one."""

    goes: list[dict[int, int]] = field(default_factory=lambda: [{}])  # by state and byte
    falls: list[int] = field(default_factory=lambda: [0])  # the longest other prefix a state ends with
    depths: list[int] = field(default_factory=lambda: [0])  # its length in bytes
    found: list[str | None] = field(default_factory=lambda: [None])  # the longest stop string a state ends with

    def after(self, state: int, byte: int) -> int:
        """The state after one more byte; constant time on average."""
        while state and byte not in self.goes[state]:
            state = self.falls[state]
        return self.goes[state].get(byte, 0)


class StopStrings:
    """Watches one answer. The answer ends at the first byte at which any stop string is complete.

    Where several are complete at that byte, the longest counts: the text is cut where it begins. So the end depends on the text
    alone, never on how it was cut into tokens, and it is never put off for a stop string that might yet come.
    """

    def __init__(self, stops: Sequence[str], token_bytes: Sequence[bytes]) -> None:
        """`token_bytes`: what each id spells; ids beyond it spell nothing.

        Raises UsageError for a stop string that is empty or is not text.
        """
        self._automaton = _automaton(_checked(stops))
        self._token_bytes = token_bytes
        self._state = 0
        self._ends: list[int] = []  # bytes spelled by the tokens so far
        self._text = bytearray()  # spelled and not yet shown
        self._num_shown = 0  # bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.hit: StopHit | None = None  # how the answer ended, once it has

    def feed(self, token: int) -> StopHit | None:
        """Read one more token of the answer; what it completed, if it did."""
        assert self.hit is None, "an answer is over once a stop string was found"
        spelled = self._token_bytes[token] if token < len(self._token_bytes) else b""
        start = self._ends[-1] if self._ends else 0
        self._ends.append(start + len(spelled))
        self._text += spelled
        for place, byte in enumerate(spelled):
            self._state = self._automaton.after(self._state, byte)
            stop = self._automaton.found[self._state]
            if stop is not None:
                self._end(stop, start + place + 1 - len(stop.encode()))
                break
        return self.hit

    def ready(self) -> str:
        """Text that may be shown and was not yet: whole characters that no stop string can still cut off."""
        held = 0 if self.hit else self._automaton.depths[self._state]
        return self._show(len(self._text) - held)

    def rest(self) -> str:
        """What is left to show when the answer is over, a stop string excluded; a character that was cut short is U+FFFD."""
        return self._show(len(self._text)) + self._decoder.decode(b"", final=True)

    def _show(self, num_bytes: int) -> str:
        shown = bytes(self._text[:num_bytes])
        del self._text[:num_bytes]
        self._num_shown += num_bytes
        return self._decoder.decode(shown)

    def _end(self, stop: str, num_bytes: int) -> None:
        del self._text[num_bytes - self._num_shown :]
        num_whole = len(self._ends)
        while num_whole and self._ends[num_whole - 1] > num_bytes:
            num_whole -= 1
        self.hit = StopHit(stop, num_bytes, len(self._ends), num_whole)


def _checked(stops: Sequence[str]) -> tuple[str, ...]:
    if isinstance(stops, str):
        raise UsageError(f"stop strings: got the text {stops!r}; want a list of texts, for one stop [{stops!r}]")
    for stop in stops:
        if not isinstance(stop, str) or not stop:
            raise UsageError(f"stop strings: got {stop!r}; want texts of at least one character")
        if any("\ud800" <= letter <= "\udfff" for letter in stop):
            raise UsageError(
                f"stop strings: {stop!r} holds half a surrogate pair, which no text can spell; want whole characters"
            )
    return tuple(stops)


@lru_cache(maxsize=AUTOMATA)
def _automaton(stops: tuple[str, ...]) -> _Automaton:
    built = _Automaton()
    for stop in stops:
        built.found[_path(built, stop.encode())] = stop
    waiting = deque(built.goes[0].values())
    while waiting:  # by depth: a state's fall is shallower than itself, so it is known
        state = waiting.popleft()
        for byte, child in built.goes[state].items():
            built.falls[child] = built.after(built.falls[state], byte)
            waiting.append(child)
        if built.found[state] is None:  # its own stop string is longer than any that a fall ends with
            built.found[state] = built.found[built.falls[state]]
    return built


def _path(built: _Automaton, spelled: bytes) -> int:
    """The state of a stop string, made along the way where it is new."""
    state = 0
    for byte in spelled:
        if byte not in built.goes[state]:
            built.goes[state][byte] = len(built.goes)
            built.goes.append({})
            built.falls.append(0)
            built.depths.append(built.depths[state] + 1)
            built.found.append(None)
        state = built.goes[state][byte]
    return state
