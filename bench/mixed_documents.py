"""bench/mixed_documents: real documents of many kinds, good and bad, as a corpus is before anyone has cleaned it.

Needs the folder of real files (`bench.peers.real_data`). Web pages come extracted in two ways, main content and all text, as
pipelines hold them. Of large sources every n-th document is taken, so that no kind is more than a few megabytes. Nothing is
changed or made up. Downloads nothing.
"""

import bz2
import contextlib
import json
import re
import sysconfig
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mwparserfromhell
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding

from bench.real_texts import zipped_texts

__all__ = ["Document", "mixed_documents"]

# Every n-th document of a kind that has many or large ones.
_STRIDES = {"reviews": 5, "speeches": 4, "encyclopedia": 2, "wikitext": 10, "code": 5, "solutions": 3}
_MAX_BYTES = 400_000  # of one document
_WARC_ERRORS = (OSError, RuntimeError, ValueError)


class Document(NamedTuple):
    """A text and the kind of source it is from."""

    kind: str
    text: str


def mixed_documents(root: Path) -> list[Document]:
    """All of them, in a fixed order, none empty."""
    found: list[Document] = []
    for read in (_pages, _archives, _crawled, _speeches, _encyclopedia, _code, _instructions):
        found += [document for document in read(root) if document.text.strip() and len(document.text.encode()) <= _MAX_BYTES]
    counts: dict[str, int] = {}
    kept = []
    for document in found:
        number = counts[document.kind] = counts.get(document.kind, -1) + 1
        if number % _STRIDES.get(document.kind, 1) == 0:
            kept.append(document)
    return kept


def _pages(root: Path) -> Iterator[Document]:
    """The labelled pages of the extraction set."""
    with tarfile.open(root / "corpus" / "extraction" / "pages.tar.gz") as archive:
        members = sorted((member for member in archive if member.isfile()), key=lambda member: member.name)
        for member in members:
            stream = archive.extractfile(member)
            assert stream is not None, f"{member.name} is a file"
            yield from _extracted(stream.read())


def _archives(root: Path) -> Iterator[Document]:
    """HTML responses of the web archives; a broken archive gives what comes before the break."""
    for path in sorted((root / "corpus" / "warc").glob("*.warc.gz")):
        yield from (document for page in _responses(path) for document in _extracted(page))


def _responses(path: Path) -> list[bytes]:
    pages: list[bytes] = []
    with path.open("rb") as stream, contextlib.suppress(*_WARC_ERRORS):
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            headers = record.http_headers
            if headers and "html" in (headers.get("content-type") or ""):
                pages.append(record.reader.read())
    return pages


def _extracted(page: bytes) -> Iterator[Document]:
    html = page.decode(detect_encoding(page) or "utf-8", "replace")
    yield Document("page, main content", extract_plain_text(html, main_content=True))
    yield Document("page, all text", extract_plain_text(html, main_content=False))


def _crawled(root: Path) -> Iterator[Document]:
    """Documents of others' corpora: papers, Common Crawl, questions and answers."""
    for name, kind in (
        ("corpus/datajuicer/arxiv.jsonl", "paper"),
        ("corpus/datajuicer/redpajama-cc-2023-06-refined.jsonl", "Common Crawl"),
        ("tuning/c4_demo.jsonl", "Common Crawl"),
        ("corpus/datajuicer/stack_exchange.jsonl", "questions and answers"),
    ):
        yield from (Document(kind, str(row["text"])) for row in _rows(root / name))


def _speeches(root: Path) -> Iterator[Document]:
    yield from (Document("reviews", text) for text in zipped_texts(root, "movie_reviews"))
    yield from (Document("speeches", text) for text in zipped_texts(root, "state_union"))


def _encyclopedia(root: Path) -> Iterator[Document]:
    """Articles of the Wikipedia dump, as text and as they are written."""
    with bz2.open(root / "corpus" / "enwiki-shortened.xml.bz2") as stream:
        for _, element in ET.iterparse(stream):
            if not element.tag.endswith("}page"):
                continue
            text = next((child.text or "" for child in element.iter() if child.tag.endswith("}text")), "")
            if not text.lower().startswith("#redirect"):
                yield Document("encyclopedia", str(mwparserfromhell.parse(text).strip_code()))
                yield Document("wikitext", text)
            element.clear()


def _code(root: Path) -> Iterator[Document]:
    """Modules of the running Python's standard library; needs no file of the folder."""
    del root
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:150]:
        yield Document("code", path.read_text(encoding="utf-8", errors="replace"))


def _instructions(root: Path) -> Iterator[Document]:
    """Instruction data as one text each: exercises with several solutions, answers to compare, calls of tools."""
    for row in _rows(root / "evals" / "gsm8k_model_solutions.jsonl"):
        yield Document("solutions", "\n".join(_strings(row)))
    for name, kind in (
        ("glaive_toolcall_en_demo", "dialogues"),
        ("kto_en_demo", "dialogues"),
        ("dpo_en_demo", "dialogues"),
        ("alpaca_en_demo", "instructions"),
    ):
        rows = json.loads((root / "tuning" / f"{name}.json").read_text(encoding="utf-8"))
        yield from (Document(kind, "\n".join(_strings(row))) for row in rows)
    for row in _rows(root / "tuning" / "t0" / "quoref_Find_Answer.jsonl"):
        yield Document("reading", "\n".join(_strings(row)))


def _rows(path: Path) -> list[dict[str, object]]:
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def _strings(value: object) -> list[str]:
    """Every string inside a JSON value, in order."""
    if isinstance(value, str):
        return [value] if re.search(r"\S", value) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in inner for text in _strings(item)]
