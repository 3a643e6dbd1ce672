"""bench/wikitext: wiki markup to prose beside mwparserfromhell's strip_code: speed, agreement of words, and markup left over.

Input: every article of the Wikipedia dump in WHORL_REAL_DATA. Speed: each side from wikitext to text in one process and thread,
by turns, medians; the peer in its own words, parse and strip_code. Agreement is asked with equal choices on both sides (no
templates, tables, references, files or categories; every section; no formulas), as the F1 of words counted per article. Marks
left over are counted in what each side gives by default, outside formulas and listings for ours. Misses on a mark of ours.
"""

import bz2
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.machine import machine
from bench.peers import real_data
from whorl.text.wikitext import prose
from whorl.text.wikitext_rules import Rules

DUMP = "corpus/enwiki-shortened.xml.bz2"
ROUNDS = 3
MARKS = ("{{", "}}", "[[", "]]", "<ref", "|-", "{|", "|}", "thumb|", "'''", "==", "&nbsp;", "[http")
EQUAL = Rules(dropped_sections=frozenset(), templates={}, keeps_math=False)
LOWERED = str.maketrans("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u2099", "0123456789n")
RAISED = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789")


def main() -> int:
    """Measure, print a table and the JSON line."""
    articles = wikitexts(real_data() / DUMP)
    peer = stripped()
    texts = list(articles.values())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(megabytes / seconds(prose, texts))
        theirs += [megabytes / seconds(peer, texts)] if peer else []
    ratios = [own / other for own, other in zip(ours, theirs, strict=False)]
    agreed = agreement(articles) if peer else {}
    left = {
        "ours": marks([prose(text, Rules(keeps_math=False, keeps_code=False)) for text in texts]),
        "peer": marks(list(map(peer, texts))) if peer else {},
    }
    figures = {
        "bench": "wikitext",
        "ours": round(statistics.median(ours), 2),
        "peer": round(statistics.median(theirs), 2) if theirs else None,
        "ratio": round(statistics.median(ratios), 1) if ratios else None,
        "unit": "MB of wikitext per CPU-second",
        "n": f"{len(texts)} articles, {megabytes:.1f} MB",
        "spread": [round(min(ratios), 1), round(max(ratios), 1)] if ratios else None,
        "machine": machine(),
        "marks_left": left,
        **agreed,
        "missed": [f"{count} of '{mark}' left" for mark, count in left["ours"].items()],
    }
    print(f"ours {figures['ours']} MB/cpu-s, mwparserfromhell {figures['peer']}; words agree to F1 {agreed.get('f1')}")
    for title, f1 in list(agreed.get("least", {}).items()):
        print(f"  {f1:.3f}  {title}")
    print(f"marks left: {left}")
    print(json.dumps(figures))
    return 1 if figures["missed"] or peer is None else 0


def wikitexts(path: Path) -> dict[str, str]:
    """Wikitext of the pages that are no redirects, by title."""
    with bz2.open(path) as stream:
        root = ElementTree.parse(stream).getroot()
    space = root.tag.removesuffix("mediawiki")
    pages = [page for page in root.iter(f"{space}page") if page.find(f"{space}redirect") is None]
    return {page.findtext(f"{space}title", ""): page.findtext(f"{space}revision/{space}text", "") for page in pages}


def stripped() -> Callable[[str], str] | None:
    """mwparserfromhell as its users call it, where the extra `web` is there."""
    try:
        import mwparserfromhell  # noqa: PLC0415 - optional
    except ImportError:
        print("no peer: pip install 'whorl[web]'")
        return None
    print(f"peer: mwparserfromhell {version('mwparserfromhell')}")
    return lambda text: str(mwparserfromhell.parse(text).strip_code())


def seconds(convert: Callable[[str], str], texts: Sequence[str]) -> float:
    """CPU-seconds of this process for converting everything."""
    began = time.process_time()
    for text in texts:
        convert(text)
    return time.process_time() - began


def agreement(articles: dict[str, str]) -> dict[str, Any]:
    """F1 of words over all articles, and the articles that agree least."""
    shared = ours = theirs = 0
    by_title: dict[str, float] = {}
    for title, text in articles.items():
        mine, other = words(prose(text, EQUAL)), words(equal_choices(text))
        common = (mine & other).total()
        by_title[title] = round(2 * common / (mine.total() + other.total()), 4)
        shared, ours, theirs = shared + common, ours + mine.total(), theirs + other.total()
    least = dict(sorted(by_title.items(), key=lambda item: item[1])[:5])
    return {"f1": round(2 * shared / (ours + theirs), 4), "median_f1": statistics.median(by_title.values()), "least": least}


def equal_choices(text: str) -> str:
    """The peer's text without what we drop on purpose."""
    import mwparserfromhell  # noqa: PLC0415 - optional

    code = mwparserfromhell.parse(text)
    unseen = ("file:", "image:", "category:")
    nodes: list[Any] = [link for link in code.filter_wikilinks() if str(link.title).strip().lower().startswith(unseen)]
    nodes += code.filter_tags(matches=lambda tag: str(tag.tag).lower() in ("table", "ref"))
    for node in nodes:
        if code.contains(node):
            code.remove(node)
    return str(code.strip_code())


def words(text: str) -> Counter[str]:
    """Words with their counts; raised and lowered digits count as plain ones."""
    return Counter(re.findall(r"\w+", text.translate(LOWERED).translate(RAISED)))


def marks(texts: Sequence[str]) -> dict[str, int]:
    """How often each mark of wikitext is still there."""
    found = {mark: sum(text.count(mark) for text in texts) for mark in MARKS}
    return {mark: count for mark, count in found.items() if count}


if __name__ == "__main__":
    sys.exit(main())
