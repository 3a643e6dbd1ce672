"""corpus/sources/markdown: Markdown files, whole or by heading, with what their front matter says of them.

Front matter (YAML between `---`, TOML between `+++`) becomes title, date, licence, language, url and tags, and is taken off the
text. One that cannot be read stays in the text, and `meta.front_matter` says what is wrong with it. Does not render: the text
keeps its marks.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import Field

from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable, read_text
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FileSource

__all__ = ["Markdown"]

_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\r?\n(.{0,65536}?)^\1[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_NOT_A_PARAGRAPH = re.compile(r"^(?: {4}|\t|\s*(?:[-*+>|]|\d+[.)]\s))")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class _Front(NamedTuple):
    """What a file says of itself, and where its text begins."""

    begin: int
    fields: Mapping[str, Any]
    fault: str = ""


class _Heading(NamedTuple):
    line: int  # where its section begins
    level: int
    title: str


class _Piece(NamedTuple):
    text: str
    headings: tuple[str, ...]  # of the section and those around it, outermost first


class Markdown(FileSource):
    """Files matching a glob pattern, e.g. `docs/**/*.md`."""

    split: Literal["file", "heading"] = "file"
    max_level: int = Field(2, ge=1, le=6)  # headings down to this level begin a document
    language: str | None = None
    max_file: Bytes = 64_000_000

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: the file's name, and `#number` of the section."""
        rows = DocumentRows({"licence": self.licence, "language": self.language})
        try:
            text = read_text(unit, self.max_file, max_ratio=self.max_ratio)
        except Unreadable as fault:
            rows.skip(Skip(unit.name, unit.name, fault.reason, fault.detail))
        else:
            self._add(rows, unit, text)
        yield rows.harvest()

    def _add(self, rows: DocumentRows, unit: Unit, text: str) -> None:
        front = _front_matter(text)
        lines = text[front.begin :].splitlines(keepends=True)
        headings = _headings(lines)
        title = _word(front.fields.get("title")) or next((h.title for h in headings if h.level == 1), "")
        said = {column: value for column, value in _columns(front.fields).items() if value}
        whole = {"title": title, "tags": _tags(front.fields.get("tags")), "front_matter": front.fault}
        pieces = self._pieces(lines, headings)
        for number, piece in enumerate(pieces, start=1):
            doc_id = unit.name if self.split == "file" else f"{unit.name}#{number}"
            meta = {key: value for key, value in {**whole, "headings": piece.headings}.items() if value}
            rows.add({**said, "id": doc_id, "text": piece.text, "source": unit.name}, meta)
        if not pieces:
            rows.skip(Skip(unit.name, unit.name, "empty", "nothing after the front matter"))

    def _pieces(self, lines: Sequence[str], headings: Sequence[_Heading]) -> list[_Piece]:
        """The whole text, or its sections; what has no text is none."""
        if self.split == "file":
            whole = "".join(lines)
            return [_Piece(whole, ())] if whole.strip() else []
        begins = [_Heading(0, 0, ""), *(heading for heading in headings if heading.level <= self.max_level)]
        ends = [*(heading.line for heading in begins[1:]), len(lines)]
        pieces: list[_Piece] = []
        around: list[_Heading] = []
        for heading, end in zip(begins, ends, strict=True):
            around = [*(outer for outer in around if 0 < outer.level < heading.level), heading]
            section = "".join(lines[heading.line : end])
            if section.strip():
                pieces.append(_Piece(section, tuple(outer.title for outer in around if outer.level)))
        return pieces


def _front_matter(text: str) -> _Front:
    match = _FRONT.match(text)
    if match is None:
        return _Front(0, {})
    try:
        fields = yaml.safe_load(match[2]) if match[1] == "---" else tomllib.loads(match[2])
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        return _Front(0, {}, f"{type(error).__name__}: {str(error)[:200]}")
    if fields is not None and not isinstance(fields, dict):
        return _Front(0, {})  # a rule, some text and another rule: no front matter
    return _Front(match.end(), fields or {})


def _columns(fields: Mapping[str, Any]) -> dict[str, str]:
    url = _word(fields.get("canonical_url") or fields.get("url"))
    when = _word(fields.get("date"))
    return {
        "licence": _word(fields.get("licence") or fields.get("license")),
        "language": _word(fields.get("language") or fields.get("lang")).lower(),
        "date": when.replace(" ", "T", 1) if _ISO_DATE.match(when) else "",
        "url": url if url.startswith(("http://", "https://")) else "",
    }


def _word(value: object) -> str:
    """A value of one line as text; anything else as nothing."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _tags(value: object) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return [word for word in map(_word, items) if word]


def _headings(lines: Sequence[str]) -> list[_Heading]:
    """Headings outside code fences, in order."""
    found: list[_Heading] = []
    fence = ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        elif match := _HEADING.match(line.rstrip("\r\n")):
            found.append(_Heading(number, len(match[1]), (match[2] or "").strip()))
        elif underlined := _underlined(lines, number):
            found.append(underlined)
    return found


def _underlined(lines: Sequence[str], number: int) -> _Heading | None:
    """A line of its own with `===` or `---` below it: the underline stands at `number`."""
    match = _UNDERLINE.match(lines[number].rstrip("\r\n")) if number else None
    title = lines[number - 1] if match else ""
    is_alone = number < 2 or not lines[number - 2].strip()
    if match is None or not title.strip() or not is_alone or _HEADING.match(title) or _NOT_A_PARAGRAPH.match(title):
        return None
    return _Heading(number - 1, 1 if match[1].startswith("=") else 2, title.strip())
