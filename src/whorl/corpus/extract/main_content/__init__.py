"""corpus/extract/main_content: the house's own extractor: one compiled pass over the page, then two judgements of each line.

Needs no other package. Lines are judged by how they look, where they stand and what they are next to; the judgements were
fitted to labelled pages (corpus/extract/main_content/scoring). Where a page shows little text and its JSON-LD has the article,
that is taken, unless it says that the article is not free. Does not run scripts; never raises; time is linear in the page.
"""

import json
import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from pydantic import Field

from whorl.corpus.extract import Extracted, Extractor
from whorl.corpus.extract.main_content.hints import HINTS
from whorl.corpus.extract.main_content.scoring import scores
from whorl.corpus.markup import page_bytes
from whorl.text.html import parse
from whorl.text.html_blocks import blocks_of
from whorl.text.html_facts import facts_of, unescape
from whorl.text.html_hints import hint_automaton
from whorl.text.html_render import render

__all__ = ["MainContent"]

_FAINT = 0.1  # a page whose best line scores less has no content
_ARTICLE = re.compile(r'"articleBody"\s*:\s*("(?:[^"\\]|\\.){200,}")', re.DOTALL)
_NOT_FREE = re.compile(r'"isAccessibleForFree"\s*:\s*"?(?:false|no)\b', re.IGNORECASE)
_MAX_SHARE = 0.3  # what a page shows of the article in its JSON-LD, where that is taken instead


class MainContent(Extractor):
    """Keeps every line at least so likely to be content. Higher is cleaner, lower is more complete."""

    min_score: float = Field(0.45, ge=0, le=1)  # best F1 in cross-validation, see bench.fits.extraction

    def extract(self, html: str, url: str | None) -> Extracted:
        """See Extractor.extract."""
        tree = parse(page_bytes(html), _hints())
        blocks = blocks_of(tree)
        text = render(tree, blocks, self._kept(scores(tree, blocks))) if len(blocks) else ""
        return Extracted(_longer(text, html), *facts_of(tree, url))

    def _kept(self, score: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """The lines that are likely enough; on a page without one, those not much worse than the best."""
        best = float(score.max())
        return score >= (self.min_score if best >= self.min_score else max(best / 2, _FAINT))


@lru_cache(maxsize=1)
def _hints() -> npt.NDArray[np.int64]:
    return hint_automaton(HINTS)


def _longer(text: str, html: str) -> str:
    """The text of a page, or the article in its JSON-LD where the page shows little of it."""
    if '"articleBody"' not in html:
        return text
    longest = max(_ARTICLE.findall(html), key=len, default="")
    if len(text) >= _MAX_SHARE * len(longest) or _NOT_FREE.search(html):
        return text
    try:
        return _shown(json.loads(longest, strict=False))
    except ValueError:
        return text


def _shown(body: str) -> str:
    """An article as its JSON-LD has it, which may be markup."""
    if "<" not in body:
        return unescape(body).encode("utf-8", "replace").decode().strip()
    tree = parse(page_bytes(body), _hints())
    blocks = blocks_of(tree)
    return render(tree, blocks, np.ones(len(blocks), dtype=np.bool_))
