"""corpus/sources/html: folders of saved web pages, one document per page: its main content.

Judges no page: one without content is skipped as `empty`. Fetches nothing, so a site's robots.txt is not asked: evidence of
opt-outs is what the page itself says.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import Field

from whorl.core.quantity import Bytes
from whorl.corpus.extract import Extractor
from whorl.corpus.files import Unit, Unreadable, read_bytes
from whorl.corpus.markup import decode_html
from whorl.corpus.rights import Rights
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FileSource

__all__ = ["Html"]


class Html(FileSource):
    """Files matching a glob pattern, e.g. `site/**/*.html`."""

    base_url: str = ""  # address the folder was saved from: page addresses are made of it and the file's name
    charset: str | None = None  # declared by whoever saved the pages; a byte order mark beats it
    extract: Extractor = Field(default_factory=lambda: Extractor.model_validate({"use": "main_content"}))
    max_page: Bytes = 16_000_000

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: the file's name."""
        rows = DocumentRows({"licence": self.licence})
        try:
            html = decode_html(read_bytes(unit, self.max_page, max_ratio=self.max_ratio), self.charset)
        except Unreadable as fault:
            rows.skip(Skip(unit.name, unit.name, fault.reason, fault.detail))
        else:
            self._add(rows, unit, html)
        yield rows.harvest()

    def _add(self, rows: DocumentRows, unit: Unit, html: str) -> None:
        url = f"{self.base_url.rstrip('/')}/{self._own_name(unit)}" if self.base_url else None
        page = self.extract.extract(html, url)
        values = {
            "id": unit.name,
            "text": page.text,
            "source": unit.name,
            "url": url or page.canonical,
            "licence": page.licence or self.licence,
            "language": page.language,
            "date": page.date,
            "rights": Rights.of_page(page.robots).to_json(),
        }
        rows.add(values, {key: value for key, value in {"title": page.title, "canonical": page.canonical}.items() if value})

    def _own_name(self, unit: Unit) -> str:
        """The file's name below the folder, without a suffix of compression."""
        own = unit.name.removeprefix(f"{self.name}/") if self.name else unit.name
        return str(PurePosixPath(own).with_suffix("")) if own.endswith((".gz", ".zst", ".bz2", ".xz")) else own
