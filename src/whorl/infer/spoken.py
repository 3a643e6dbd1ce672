"""infer/spoken: text from ids one by one, for vocabularies whose ids have no bytes of their own (Llama 2, BERT).

Where every id has bytes, infer/stops does the same and finds stop strings too.
"""

from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Spoken"]

_UNFINISHED = "\ufffd"  # what decoding makes of a character that is not whole yet


class Spoken:
    """Shows one answer, decoding a few tokens at a time.

    What is new is decoded together with what was shown just before it, so that a piece joins its neighbour as it will in the
    end. A mark that the vocabulary joins to both its neighbours is shown before the second one is known.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._shown: list[int] = []  # the tokens shown last
        self._fresh: list[int] = []  # not shown yet

    def feed(self, token: int) -> None:
        """Read one more token of the answer."""
        self._fresh.append(token)

    def ready(self) -> str:
        """Text that may be shown and was not yet; whole characters."""
        return "" if self._text().endswith(_UNFINISHED) else self.rest()

    def rest(self) -> str:
        """What is left to show; a character that was cut short is U+FFFD."""
        text = self._text()
        if text:
            self._shown, self._fresh = self._fresh, []
        return text

    def _text(self) -> str:
        before = self._tokenizer.decode(self._shown)
        return self._tokenizer.decode([*self._shown, *self._fresh])[len(before) :]
