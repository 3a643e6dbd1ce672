"""text/reference_repetition: repetition in plain Python: the definition the compiled kernels are proved equal to.

Slow on purpose and not used at run time. After the definitions of https://arxiv.org/abs/2112.11446, appendix A.1.1.
"""

import re
from collections import Counter
from collections.abc import Sequence

from whorl.text.lines import BLANK
from whorl.text.reference import reference_tokens
from whorl.text.reference_lines import reference_lines
from whorl.text.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS

__all__ = ["reference_line_repetition", "reference_ngram_repetition"]


def reference_line_repetition(text: str) -> dict[str, int]:
    """What whorl.text.repetition counts in the lines of one text."""
    lines = reference_lines(text)
    drawn = "\n".join(line.text for line in lines)
    is_blank = {"": True} | {line.text: bool(line.flags & BLANK) for line in lines}
    paragraphs = [p for p in re.split(r"\n{2,}", drawn.strip("\n")) if not all(is_blank[line] for line in p.split("\n"))]
    texts = [line.text for line in lines if not line.flags & BLANK]
    return {
        "num_text_lines": len(texts),
        "num_duplicate_lines": len(_repeated(texts)),
        "num_duplicate_line_chars": sum(map(len, _repeated(texts))),
        "num_paragraphs": len(paragraphs),
        "num_duplicate_paragraphs": len(_repeated(paragraphs)),
        "num_duplicate_paragraph_chars": sum(map(len, _repeated(paragraphs))),
    }


def _repeated(pieces: Sequence[str]) -> list[str]:
    """Those that were there before."""
    return [piece for place, piece in enumerate(pieces) if piece in pieces[:place]]


def reference_ngram_repetition(text: str) -> dict[str, int]:
    """What whorl.text.repetition counts in the n-grams of one text."""
    tokens = reference_tokens(text)
    words, sizes = [token.hash for token in tokens], [token.end - token.start for token in tokens]
    top = {f"num_top_{n}gram_chars": _top(words, sizes, n) for n in TOP_NGRAMS}
    return top | {f"num_duplicate_{n}gram_chars": _duplicates(words, sizes, n) for n in DUPLICATE_NGRAMS}


def _top(words: Sequence[int], sizes: Sequence[int], n: int) -> int:
    """Characters, joined by spaces, of the commonest n-gram times how often it occurs; of several, the first in the text."""
    times = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not times:
        return 0
    ngram, most = times.most_common(1)[0]
    place = next(i for i in range(len(words)) if tuple(words[i : i + n]) == ngram)
    return (sum(sizes[place : place + n]) + n - 1) * most


def _duplicates(words: Sequence[int], sizes: Sequence[int], n: int) -> int:
    """Characters of n-grams that were there before, no word twice; an n-gram inside a counted one counts as not seen."""
    seen: set[tuple[int, ...]] = set()
    found = place = 0
    while place <= len(words) - n:
        ngram = tuple(words[place : place + n])
        if ngram in seen:
            found += sum(sizes[place : place + n])
            place += n
        else:
            seen.add(ngram)
            place += 1
    return found
