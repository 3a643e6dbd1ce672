"""corpus/extract/trafilatura: the main content that trafilatura finds; the careful choice, at a tenth of the speed.

Needs `pip install 'whorl[web]'`. https://trafilatura.readthedocs.io. Its time can grow faster than the page, and nothing
inside one process can stop it (adbar/trafilatura#704): pages beyond `max_bytes` give no text. Facts are the house's own.
"""

from functools import lru_cache
from typing import Any

from pydantic import Field

from whorl.core.errors import ResourceError
from whorl.corpus.extract import Extracted, Extractor, page_facts

__all__ = ["Trafilatura"]


class Trafilatura(Extractor):
    """Its defaults, without comments."""

    fast: bool = False  # leave out its fallback extractors: a third faster, a little less recall
    comments: bool = False
    tables: bool = True
    max_bytes: int = Field(2_000_000, gt=0)  # of UTF-8; articles are rarely beyond one million

    def extract(self, html: str, url: str | None) -> Extracted:
        """See Extractor.extract."""
        encoded = html.encode("utf-8", "replace")
        text = None
        if len(encoded) <= self.max_bytes:
            text = _extract()(
                encoded.decode(),
                fast=self.fast,
                include_comments=self.comments,
                include_tables=self.tables,
                include_formatting=False,
            )
        return Extracted(text or "", *page_facts(html, url))


@lru_cache(maxsize=1)
def _extract() -> Any:  # noqa: ANN401 - not typed
    try:
        from trafilatura import extract  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ResourceError(f"use: trafilatura needs {error.name}; pip install 'whorl[web]', or use: main_content") from error
    return extract
