"""corpus/extract/resiliparse: the main content that resiliparse finds; faster than anything, and keeps more boilerplate.

Needs `pip install 'whorl[web]'`. https://resiliparse.chatnoir.eu. Facts are the house's own.
"""

from functools import lru_cache
from typing import Any

from whorl.core.errors import ResourceError
from whorl.corpus.extract import Extracted, Extractor, page_facts

__all__ = ["Resiliparse"]


class Resiliparse(Extractor):
    """Its rules for main content; `comments` keeps what readers wrote below the article."""

    comments: bool = False
    list_bullets: bool = True

    def extract(self, html: str, url: str | None) -> Extracted:
        """See Extractor.extract."""
        plain_text = _plain_text()
        text = plain_text(
            html.encode("utf-8", "replace").decode(),  # it refuses halves of surrogate pairs
            main_content=True,
            comments=self.comments,
            list_bullets=self.list_bullets,
        )
        return Extracted(text, *page_facts(html, url))


@lru_cache(maxsize=1)
def _plain_text() -> Any:  # noqa: ANN401 - not typed
    try:
        from resiliparse.extract.html2text import extract_plain_text  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ResourceError(f"use: resiliparse needs {error.name}; pip install 'whorl[web]', or use: main_content") from error
    return extract_plain_text
