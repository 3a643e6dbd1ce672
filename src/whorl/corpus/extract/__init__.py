"""corpus/extract: from a web page to its text, and to what the page says about itself. A door.

An extractor never raises on any page, is pure, takes time linear in the page or refuses pages beyond a stated size, and finds
the same facts (title, language, date, licence, robots directives, canonical address) whichever it is: rights do not depend on
taste.

To add one, write a file here with one class deriving from Extractor (`extract`; `page_facts` gives everything but the text),
and its test.
"""

from abc import abstractmethod
from typing import NamedTuple

from whorl.core.config import Member
from whorl.corpus.markup import page_bytes
from whorl.text.html import parse
from whorl.text.html_facts import Facts, facts_of
from whorl.text.html_hints import hint_automaton

__all__ = ["Extracted", "Extractor", "page_facts"]

_NO_HINTS = hint_automaton({})


class Extracted(NamedTuple):
    """What is worth keeping of a page; None and the empty tuple mean that the page does not say."""

    text: str  # "" where there is no content; paragraphs, items and rows on lines of their own
    title: str | None
    language: str | None  # as declared: lower case, hyphens
    date: str | None  # of publication: YYYY-MM-DD, then T and the time if given
    licence: str | None  # an address or a name
    robots: tuple[str, ...]  # lower case: "noindex", "noai", "googlebot: nosnippet", "tdm-reservation: 1"
    canonical: str | None


class Extractor(Member, is_door=True):
    """One way of finding the main content of a page."""

    @abstractmethod
    def extract(self, html: str, url: str | None) -> Extracted:
        """The text and facts of a page. The url, where known, makes a relative canonical address absolute."""


def page_facts(html: str, url: str | None) -> Facts:
    """What every extractor must agree on, for those that parse pages in their own way."""
    return facts_of(parse(page_bytes(html), _NO_HINTS), url)
