"""infer/guide: holds an answer to a structure, token by token: which tokens may come next, and when it may end.

Grammars are compiled and walked by llguidance (extra `guide`), https://github.com/guidance-ai/llguidance. A mask allows every
token whose bytes the structure can begin with, so how a text is cut into tokens stays the model's own choice. Does not choose
tokens, and does not look at logits.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np

from whorl.core.errors import DataError, ResourceError, UsageError
from whorl.infer.structure import Structure

if TYPE_CHECKING:
    from llguidance import LLMatcher, TokenizerWrapper

__all__ = ["Guide", "GuideLimits", "Guides", "StructureGuide"]


Answer = TypeVar("Answer")
_DEAD_END = "NoExtension"  # in llguidance's words


class Guide(Protocol):
    """What the engine asks of one answer's guide."""

    def allowed(self) -> np.ndarray | None:
        """Which tokens may come next, bool (v,); None when all may. Raises when none may: the answer cannot go on."""
        ...

    def accept(self, token: int) -> None:
        """The answer goes on with this token, one of those allowed."""
        ...

    def accepted_by(self, tokens: Sequence[int]) -> int:
        """How many of these tokens could come next, one after the other. Changes nothing."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete and nothing but a stop id may follow, or one has."""
        ...


@dataclass(frozen=True)
class GuideLimits:
    """What one structure may cost, in work rather than in seconds: the same structure fares alike on every machine."""

    max_bytes: int = 262_144  # of the structure as text
    max_grammar_size: int = 100_000  # symbols in productions
    initial_lexer_fuel: int = 1_000_000  # building the lexer: some 50k a millisecond
    step_lexer_fuel: int = 200_000  # one mask: some 14k a millisecond
    step_max_items: int = 50_000  # parser items of one mask: some 20k a millisecond
    max_items_in_row: int = 2_000  # ways to read the answer at one place
    max_lexer_states: int = 50_000  # 1 to 2 kB each


class Guides:
    """Guides for one vocabulary: reads it once, keeps the grammars compiled last."""

    def __init__(
        self,
        token_bytes: Sequence[bytes],
        *,
        stop_ids: Collection[int],
        special_ids: Collection[int] = (),
        limits: GuideLimits = GuideLimits(),
        kept: int = 64,
    ) -> None:
        """`token_bytes`: what each of the model's ids spells, b"" for one that spells nothing. `kept`: compiled grammars.

        Special ids, stop ids among them, are never part of the text, whatever they spell. Raises ResourceError without
        llguidance, UsageError when no id ends an answer.
        """
        ends, special = sorted(stop_ids), sorted({*stop_ids, *special_ids})
        if not ends or not 0 <= special[0] <= special[-1] < len(token_bytes):
            raise UsageError(
                f"guide: got stop ids {ends} and special ids {special}; want ids below {len(token_bytes)}, one to stop"
            )
        self.size = len(token_bytes)
        self.limits = limits
        self._stop_ids = frozenset(ends)
        self._kept = kept
        self._compiled: OrderedDict[Structure, _Grammar] = OrderedDict()
        try:
            import llguidance  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ResourceError(
                "guide: structured output needs llguidance, which is not installed; pip install 'whorl[guide]'"
            ) from error
        self._library = llguidance
        vocabulary = cast("TokenizerWrapper", _Vocabulary(token_bytes, ends, special))
        self._tokenizer = llguidance.LLTokenizer(vocabulary, eos_token=ends)

    def guide(self, structure: Structure) -> "StructureGuide":
        """A guide for one answer. Raises UsageError for a structure that is malformed, unsatisfiable or past the limits."""
        if structure in self._compiled:
            self._compiled.move_to_end(structure)
        else:
            self._compiled[structure] = _Grammar(partial(self._compile, structure))
            if len(self._compiled) > self._kept:
                self._compiled.popitem(last=False)
        return StructureGuide(self._compiled[structure], structure.kind, size=self.size, stop_ids=self._stop_ids)

    def _compile(self, structure: Structure) -> "LLMatcher":
        size = len(structure.text.encode())
        if size > self.limits.max_bytes:
            raise UsageError(f"{structure.kind}: {size} bytes; want at most {self.limits.max_bytes}; make it smaller")
        limits = {name: value for name, value in asdict(self.limits).items() if name != "max_bytes"}
        grammar = json.dumps({"grammars": [{"lark_grammar": self._lark(structure)}]})
        matcher = self._library.LLMatcher(
            self._tokenizer, grammar, log_level=0, limits=self._library.LLParserLimits(**limits, verbose_errors=False)
        )
        if matcher.is_error():
            said = _plain(matcher.get_error())
            way_out = "; make it smaller, or raise the limits of the guide" if "too big" in said else ""
            raise UsageError(f"{structure.kind}: {said}{way_out}")
        return matcher

    def _lark(self, structure: Structure) -> str:
        # no_forcing: otherwise only one spelling of forced text is allowed, which would have to be the tokenizer's.
        head = '%llguidance {"no_forcing": true}\nstart: '
        if structure.kind == "regex":
            return f"{head}/{self._library.regex_to_lark(structure.text, 'dw')}/"
        if structure.kind == "choice":
            return head + " | ".join(json.dumps(one).replace("\x7f", "\\u007f") for one in json.loads(structure.text))
        return f"{head}%json {structure.text}"


class _Grammar:
    """One structure, compiled. Answers under it share what was worked out for any of them, and the limit on that."""

    def __init__(self, compile_it: "Callable[[], LLMatcher]") -> None:
        self._compile = compile_it
        self._matcher = compile_it()

    def start(self) -> "LLMatcher":
        """Before the first token."""
        return self._matcher.deep_copy()

    def alone(self, said: Sequence[int]) -> "LLMatcher":
        """After these tokens, sharing nothing: for an answer whose like have used up what they share. Later ones start anew."""
        self._matcher = self._compile()
        own = self._compile()
        own.consume_tokens(list(said))
        return own


class StructureGuide:
    """One answer on its way through a grammar."""

    def __init__(self, grammar: _Grammar, kind: str, *, size: int, stop_ids: frozenset[int]) -> None:
        self._grammar = grammar
        self._matcher = grammar.start()
        self._is_alone = False
        self._kind = kind
        self._size = size
        self._stop_ids = stop_ids
        self._said: list[int] = []
        self._bits = np.zeros(-(-size // 32), np.int32)
        self._address = self._bits.ctypes.data  # asked for once: it costs more than a mask
        self._allowed: np.ndarray | None = None

    def allowed(self) -> np.ndarray:
        """Which tokens may come next, bool (v,), the same array until the next token. Stop ids only when all is said.

        Raises DataError when no token of this vocabulary can go on, ResourceError when going on would pass the limits.
        """
        assert not self._is_over, "an answer that has ended does not go on"
        if self._allowed is None:
            self._ask(lambda: self._matcher.unsafe_compute_mask_ptr(self._address, self._bits.nbytes))
            bits = np.unpackbits(self._bits.view(np.uint8), count=self._size, bitorder="little")
            self._allowed = bits.view(np.bool_)
        return self._allowed

    def accept(self, token: int) -> None:
        """The answer goes on with this token. Raises ResourceError when reading it passes the limits."""
        is_allowed = self.accepted_by([token]) == 1 if self._allowed is None else self._allowed[token]
        assert is_allowed, f"token {token} was said although it is not allowed"
        self._ask(lambda: self._matcher.consume_token(token))
        self._said.append(token)
        self._allowed = None

    def accepted_by(self, tokens: Sequence[int]) -> int:
        """How many of these tokens could come next, one after the other. Changes nothing. Raises as `allowed` does."""
        if self._is_over:
            return 0
        if self.is_finished:  # only the end is left, which llguidance does not count
            return int(len(tokens) > 0 and tokens[0] in self._stop_ids)
        known = next((place for place, token in enumerate(tokens) if not 0 <= token < self._size), len(tokens))
        return self._ask(lambda: self._matcher.validate_tokens(list(tokens[:known]))) if known else 0

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete and nothing but a stop id may follow, or one has."""
        return self._matcher.is_stopped()

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return self._matcher.is_accepting()

    @property
    def _is_over(self) -> bool:
        """Whether a stop id was said."""
        return bool(self._said) and self._said[-1] in self._stop_ids

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """What llguidance says; asked again alone when answers under the same structure have used up what they share."""
        answer = question()
        if self._matcher.is_error() and not self._is_alone and _DEAD_END not in self._matcher.get_error():
            self._matcher, self._is_alone = self._grammar.alone(self._said), True
            answer = question()
        if not self._matcher.is_error():
            return answer
        said = self._matcher.get_error()
        if _DEAD_END in said:
            raise DataError(f"{self._kind}: no token of this vocabulary can go on from here; want a vocabulary of all bytes")
        raise ResourceError(f"{self._kind}: {_plain(said)}; simplify it, or raise the limits of the guide")


class _Vocabulary:
    """What llguidance reads of a tokenizer. Called only to spell forced text, which no grammar of ours asks for."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, token_bytes: Sequence[bytes], stop_ids: Sequence[int], special_ids: Sequence[int]) -> None:
        self.eos_token_id = stop_ids[0]
        self.special_token_ids = list(special_ids)
        names = {number: f"<|{number}|>".encode() for number in special_ids}  # llguidance wants them to spell something
        self.tokens = [names.get(number, bytes(spelled)) for number, spelled in enumerate(token_bytes)]

    def __call__(self, text: bytes | str) -> list[int]:
        raise AssertionError(f"asked to spell {text!r}, though nothing is forced")


def _plain(error: str) -> str:
    """A compiler's message in one line, without its picture of the grammar."""
    first = error.split("\n<state>")[0].partition("\n   1 | ")[0].replace("<non-verbose/>", "")
    return " ".join(re.sub(r"^at \d+\(\d+\): (failed to compile JSON schema: )?", "", first).split())[:240]
