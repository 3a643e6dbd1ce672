"""bench/extraction: main content of web pages: how much of what people marked is kept and dropped, and at what speed.

Pages and marks are those of trafilatura's own evaluation: snippets that must be in the text and snippets that must not,
compared after collapsing blanks, counted over all pages as its authors count them. The even half (by SHA-256 of the address)
was looked at and fitted to; the odd half is what counts. Peers run in this process, one thread, taking turns, round by round;
speed is megabytes of HTML per second of processor time, from characters to text, ours with metadata. Exits 1 when a bar is
missed.
"""

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from bench.machine import machine
from bench.peers import real_data
from whorl.corpus.extract import Extractor
from whorl.corpus.markup import decode_html

# What the README promises: F1 on the odd half, and speed beside resiliparse's main_content.
MIN_F1, MIN_RATIO = 0.92, 0.38
ROUNDS = 3
OURS, YARDSTICK = "whorl main_content", "resiliparse"
_COMPILE = """
import time
began = time.process_time()
from whorl.corpus.extract import Extractor
extractor = Extractor.model_validate({"use": "main_content"})
loaded = time.process_time()
extractor.extract("<p>One page.</p>", None)
print(time.process_time() - loaded)
"""


class LabelledPage(NamedTuple):
    """One page and what its readers marked."""

    url: str
    html: str
    num_bytes: int  # as downloaded
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


class Counted(NamedTuple):
    """Snippets of one or many pages."""

    hits: int  # wanted and kept
    intruders: int  # unwanted and kept
    misses: int  # wanted and dropped
    rejects: int  # unwanted and dropped

    def plus(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def precision(self) -> float:
        """Share of what was kept that is wanted."""
        return self.hits / max(self.hits + self.intruders, 1)

    @property
    def recall(self) -> float:
        """Share of what is wanted that was kept."""
        return self.hits / max(self.hits + self.misses, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.hits / max(2 * self.hits + self.intruders + self.misses, 1)


def normal(text: str) -> str:
    """Text with every stretch of blanks as one space."""
    return re.sub(r"\s+", " ", text).strip()


def counted(page: LabelledPage, text: str) -> Counted:
    """Snippets of one page in what was extracted from it."""
    found = normal(text)
    hits = sum(normal(snippet) in found for snippet in page.wanted)
    intruders = sum(normal(snippet) in found for snippet in page.unwanted)
    return Counted(hits, intruders, len(page.wanted) - hits, len(page.unwanted) - intruders)


def labelled_pages(data: Path) -> list[LabelledPage]:
    """All pages, in the order of their file."""
    folder = data / "corpus" / "extraction"
    marks = json.loads((folder / "gold.json").read_text(encoding="utf-8"))
    with tarfile.open(folder / "pages.tar.gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers() if member.isfile()}
        raw = {name: file.read() for name, file in files.items() if file is not None}
    return [
        LabelledPage(url, decode_html(raw[of["file"]], None), len(raw[of["file"]]), tuple(of["with"]), tuple(of["without"]))
        for url, of in marks.items()
    ]


def is_development(url: str) -> bool:
    """Whether a page may be looked at: the even ones."""
    return int(hashlib.sha256(url.encode()).hexdigest(), 16) % 2 == 0


def development_half(pages: Sequence[LabelledPage]) -> list[LabelledPage]:
    """The pages that coefficients are fitted to."""
    return [page for page in pages if is_development(page.url)]


def peers() -> dict[str, Callable[[str], str]]:
    """What each peer makes of a page, by its name in the table: the packages themselves, not the house's members for them."""
    from resiliparse.extract.html2text import extract_plain_text  # noqa: PLC0415 - optional
    from trafilatura import extract  # noqa: PLC0415 - optional

    def trafilatura(html: str, *, fast: bool) -> str:
        return extract(html, fast=fast, include_comments=False, include_tables=True, include_formatting=False) or ""

    return {
        YARDSTICK: lambda html: extract_plain_text(html, main_content=True),
        "resiliparse, no comments": lambda html: extract_plain_text(
            html, main_content=True, comments=False, list_bullets=False
        ),
        "trafilatura": lambda html: trafilatura(html, fast=False),
        "trafilatura, fast": lambda html: trafilatura(html, fast=True),
    }


class Row(NamedTuple):
    """One extractor of the table."""

    name: str
    odd: Counted
    even: Counted
    speeds: list[float]  # megabytes of HTML per CPU-second, one per round

    @property
    def speed(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.speeds)


def measured(pages: Sequence[LabelledPage], extractors: Mapping[str, Callable[[str], str]]) -> list[Row]:
    """Every extractor on every page, taking turns; the first round is also what is scored."""
    megabytes = sum(page.num_bytes for page in pages) / 1e6
    texts: dict[str, list[str]] = {}
    speeds: dict[str, list[float]] = {name: [] for name in extractors}
    for _ in range(ROUNDS):
        for name, extract in extractors.items():
            began = time.process_time()
            texts[name] = [extract(page.html) for page in pages]
            speeds[name].append(megabytes / (time.process_time() - began))
    even = [place for place, page in enumerate(pages) if is_development(page.url)]
    odd = [place for place, page in enumerate(pages) if not is_development(page.url)]
    return [Row(name, total(pages, texts[name], odd), total(pages, texts[name], even), speeds[name]) for name in extractors]


def total(pages: Sequence[LabelledPage], texts: Sequence[str], places: Sequence[int]) -> Counted:
    """Snippets of some of the pages."""
    sums = Counted(0, 0, 0, 0)
    for place in places:
        sums = sums.plus(counted(pages[place], texts[place]))
    return sums


def compile_seconds() -> tuple[float, float]:
    """CPU-seconds to the first page in a new process: with no compiled kernel on disk, and with all of them."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", _COMPILE]
        cold, warm = (float(subprocess.check_output(command, env=environment, text=True)) for _ in range(2))
    return cold, warm


def table(rows: Sequence[Row]) -> list[str]:
    """The frontier as lines of text."""
    lines = [f"{'':>26}  {'odd half (reported)':^23}  {'even half (developed on)':^24}  {'MB HTML':>8}"]
    lines.append(f"{'':>26}  {'F1':>7}{'prec.':>8}{'recall':>8}  {'F1':>8}{'prec.':>8}{'recall':>8}  {'per CPU-s':>8}")
    for row in rows:
        figures = (row.odd.f1, row.odd.precision, row.odd.recall, row.even.f1, row.even.precision, row.even.recall)
        odd, even = ("".join(f"{value:8.3f}" for value in part) for part in (figures[:3], figures[3:]))
        lines.append(f"{row.name:>26} {odd}  {even}  {row.speed:9.1f}")
    return lines


def main() -> int:
    """Run, print a table, print the JSON line."""
    pages = labelled_pages(real_data())
    ours = Extractor.model_validate({"use": "main_content"})
    ours.extract("<p>Compiled before the clock starts.</p>", None)
    cold, warm = compile_seconds()
    try:
        others = peers()
    except ImportError as error:
        print(f"peer missing: {error}")
        others = {}
    rows = measured(pages, {OURS: lambda html: ours.extract(html, None).text, **others})
    for line in table(rows):
        print(line)
    print(f"first page of a process: {cold:.1f} CPU-s with nothing compiled, {warm:.2f} with kernels on disk")
    figures = summary(pages, rows, compile_s=(cold, warm))
    print(json.dumps(figures))
    return 1 if figures["missed"] or not others else 0


def summary(pages: Sequence[LabelledPage], rows: Sequence[Row], *, compile_s: tuple[float, float]) -> dict[str, Any]:
    """The JSON line."""
    ours, yardstick = rows[0], next((row for row in rows if row.name == YARDSTICK), None)
    ratios = sorted(mine / theirs for mine, theirs in zip(ours.speeds, yardstick.speeds, strict=True)) if yardstick else []
    ratio = statistics.median(ratios) if ratios else None
    missed = [f"f1 {ours.odd.f1:.4f} < {MIN_F1}"] if ours.odd.f1 < MIN_F1 else []
    missed += [f"ratio {ratio:.3f} < {MIN_RATIO}"] if ratio is not None and ratio < MIN_RATIO else []
    return {
        "bench": "extraction",
        "ours": round(ours.speed, 1),
        "peer": round(yardstick.speed, 1) if yardstick else None,
        "ratio": round(ratio, 3) if ratio is not None else None,
        "unit": "MB of HTML per CPU-second",
        "n": len(pages),
        "spread": [round(value, 3) for value in ratios],
        "machine": machine(),
        "f1": round(ours.odd.f1, 4),
        "f1_development": round(ours.even.f1, 4),
        "num_pages": {"odd": sum(not is_development(page.url) for page in pages), "even": len(development_half(pages))},
        "frontier": [_point(row) for row in rows],
        "compile_s": {"cold": round(compile_s[0], 2), "warm": round(compile_s[1], 3)},
        "versions": {name: _version(name) for name in ("resiliparse", "trafilatura", "numba")},
        "missed": missed,
    }


def _point(row: Row) -> dict[str, Any]:
    halves = {
        half: {"f1": round(of.f1, 4), "precision": round(of.precision, 4), "recall": round(of.recall, 4)}
        for half, of in (("odd", row.odd), ("even, development", row.even))
    }
    return {"extractor": row.name, **halves, "mb_per_cpu_s": round(row.speed, 1)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
