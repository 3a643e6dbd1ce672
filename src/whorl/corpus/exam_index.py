"""corpus/exam_index: what to look for so as to find the texts of exams in documents: n-grams of words, by their hashes.

A text of an exam is looked for by any of its n-grams; one shorter than that, by all of its words in order. Case, spacing and
punctuation do not count. What cannot tell one text from another is not looked for: texts of too few words, and n-grams that
many different texts of one exam share (a wording that every question begins with). Both are counted, and an exam of which
nothing is left to look for is an error. Does not search.
The 13-gram: Brown et al. 2020, https://arxiv.org/abs/2005.14165, appendix C.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.errors import DataError
from whorl.core.shards import read_table, write_table
from whorl.corpus.exams import ExamText
from whorl.text.batch import TextBatch
from whorl.text.ngrams import WordStream

__all__ = ["ExamIndex", "ExamNgrams", "MatchRule", "exam_figures", "read_index", "write_index"]


@dataclass(frozen=True)
class MatchRule:
    """What counts as finding a text."""

    ngram_words: int
    min_words: int  # shorter texts are not looked for
    max_texts: int  # n-grams of more different texts of one exam are not looked for


class ExamNgrams(NamedTuple):
    """N-grams of one length, ascending; those of entry e belong to the texts `texts[first[e]:first[e + 1]]`."""

    codes: npt.NDArray[np.uint64]
    first: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ExamIndex:
    """Different texts of all exams, and what to look for by length in words."""

    texts: pa.Table  # exam, item (the first that holds the text), num_items, num_words, is_sought
    ngrams: Mapping[int, ExamNgrams]


class _Different(NamedTuple):
    """The different texts of every exam: equal words in one exam are one text."""

    words: WordStream
    exams: npt.NDArray[np.int64]  # number of the exam


def write_index(texts: Sequence[ExamText], rule: MatchRule, folder: Path) -> None:
    """Index the texts of exams. Raises DataError naming an exam of which nothing can be looked for."""
    names = list(dict.fromkeys(text.exam for text in texts))
    words = WordStream.of(TextBatch(pa.array([text.text for text in texts], pa.large_string())).words)
    exams = np.array([names.index(text.exam) for text in texts], dtype=np.int64)
    chosen, number = _first_of_equals(words, exams)
    different = _Different(_picked(words, chosen), exams[chosen])
    is_sought = np.zeros(len(chosen), dtype=np.bool_)
    for length in range(rule.min_words, rule.ngram_words + 1):
        ngrams = _ngrams(different, length, rule)
        is_sought[ngrams.texts] = True
        for field, column in ngrams._asdict().items():
            np.save(folder / f"{field}-{length:02d}.npy", column)
    for exam, name in enumerate(names):
        if not is_sought[different.exams == exam].any():
            raise DataError(
                f"exam '{name}': none of its {(exams == exam).sum()} texts can be looked for; want texts of at least "
                f"{rule.min_words} words, with n-grams that at most {rule.max_texts} of them share; "
                "look at fields, or lower min_words"
            )
    _write_texts(texts, number, different, is_sought=is_sought, folder=folder)


def read_index(folder: Path) -> ExamIndex:
    """What `write_index` wrote; n-grams are memory-mapped."""
    lengths = sorted(int(path.stem.partition("-")[2]) for path in folder.glob("codes-*.npy"))
    ngrams = {
        n: ExamNgrams(*(np.load(folder / f"{field}-{n:02d}.npy", mmap_mode="r") for field in ExamNgrams._fields))
        for n in lengths
    }
    return ExamIndex(read_table(folder / "texts.parquet"), ngrams)


def exam_figures(folder: Path, is_found: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Per exam: items, those of which a text was found, and those of which no text could be looked for."""
    items = read_table(folder / "items.parquet")
    is_sought = read_table(folder / "texts.parquet", ["is_sought"])["is_sought"].to_numpy()
    sums: dict[str, dict[str, list[bool]]] = {}
    for exam, item, text in zip(*(items[name].to_pylist() for name in ("exam", "item", "text")), strict=True):
        own = sums.setdefault(exam, {}).setdefault(item, [False, False])
        own[0] |= bool(is_found[text])
        own[1] |= bool(is_sought[text])
    figures: dict[str, Any] = {}
    for exam, by_item in sorted(sums.items()):
        figures[f"exam.{exam}.items"] = len(by_item)
        figures[f"exam.{exam}.items_found"] = sum(found for found, _ in by_item.values())
        figures[f"exam.{exam}.items_not_sought"] = sum(not sought for _, sought in by_item.values())
    return figures


def _first_of_equals(words: WordStream, exams: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of the texts that no earlier one of their exam equals, and for every text which of those it equals."""
    seen: dict[tuple[int, bytes], int] = {}
    chosen: list[int] = []
    number = np.empty(len(exams), dtype=np.int64)
    for text, exam in enumerate(exams.tolist()):
        key = (exam, words.hashes[words.first[text] : words.first[text + 1]].tobytes())
        if key not in seen:
            seen[key] = len(chosen)
            chosen.append(text)
        number[text] = seen[key]
    return np.array(chosen, dtype=np.int64), number


def _picked(words: WordStream, chosen: npt.NDArray[np.int64]) -> WordStream:
    """Some of the texts of a stream, in the order given."""
    sizes = np.diff(words.first)[chosen]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    at = np.arange(first[-1]) + np.repeat(words.first[chosen] - first[:-1], sizes)
    return WordStream(words.hashes[at], first)


def _ngrams(different: _Different, n: int, rule: MatchRule) -> ExamNgrams:
    """What to look for at one length: n-grams of long texts at the full length, else texts of exactly that many words."""
    words = different.words
    sizes = np.diff(words.first)
    texts = np.repeat(np.arange(len(sizes)), sizes)
    places = words.places(n)
    if n < rule.ngram_words:
        places = places[sizes[texts[places]] == n]
    pairs = np.zeros(len(places), dtype=[("code", "<u8"), ("text", "<i8")])
    pairs["code"], pairs["text"] = words.ngrams(n, places), texts[places]
    pairs = np.unique(pairs)
    held = np.zeros(len(pairs), dtype=[("code", "<u8"), ("exam", "<i8")])
    held["code"], held["exam"] = pairs["code"], different.exams[pairs["text"]]
    _, group, times = np.unique(held, return_inverse=True, return_counts=True)
    pairs = pairs[times[group] <= rule.max_texts]
    codes, begin = np.unique(pairs["code"], return_index=True)
    return ExamNgrams(codes, np.append(begin, len(pairs)).astype(np.int64), np.ascontiguousarray(pairs["text"]))


def _write_texts(
    texts: Sequence[ExamText],
    number: npt.NDArray[np.int64],
    different: _Different,
    *,
    is_sought: npt.NDArray[np.bool_],
    folder: Path,
) -> None:
    """`items.parquet`: every item that holds a text; `texts.parquet`: one row per different text."""
    items = pa.table({"text": number, "exam": [t.exam for t in texts], "item": [t.item for t in texts]})
    write_table(items.group_by(["text", "exam", "item"], use_threads=False).aggregate([]), folder / "items.parquet")
    chosen = np.unique(number, return_index=True)[1]
    num_items = items.group_by("text", use_threads=False).aggregate([("item", "count_distinct")]).sort_by("text")
    columns = {
        "exam": items["exam"].take(pa.array(chosen)),
        "item": items["item"].take(pa.array(chosen)),
        "num_items": num_items["item_count_distinct"],
        "num_words": np.diff(different.words.first),
        "is_sought": is_sought,
    }
    write_table(pa.table(columns), folder / "texts.parquet")
