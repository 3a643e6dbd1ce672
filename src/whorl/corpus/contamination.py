"""corpus/contamination: where texts of exams occur in documents, word for word: every run of words, and whose it is.

Per shard, cached: thresholds of the stage that follow from runs can change without searching again. Exact up to collisions of
64-bit hashes. Does not change documents.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.shards import ShardCache, read_table, write_table
from whorl.corpus.exam_index import ExamIndex, read_index
from whorl.corpus.slices import text_slices
from whorl.text.batch import TextBatch
from whorl.text.ngrams import WordStream, find_ngrams

__all__ = ["Runs", "SearchTask", "read_found", "read_runs", "search_shard"]

RUNS_FILE, FOUND_FILE = "runs.parquet", "found.npy"


@dataclass(frozen=True)
class SearchTask:
    """One shard and the exams to look for; goes to a worker process."""

    path: Path
    index: Path
    key: str  # of the cache
    shards: ShardCache

    def __str__(self) -> str:
        return str(self.path)


class Runs(NamedTuple):
    """Maximal runs of words that exams hold, by document and place."""

    rows: npt.NDArray[np.int64]  # number of the document in the shard
    starts: npt.NDArray[np.int64]  # bytes of its text
    ends: npt.NDArray[np.int64]
    num_words: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]  # the exam text with most of its n-grams in the run; the first one of equals


class _Hits(NamedTuple):
    """Occurrences of n-grams in a stream of words, as places and as (place, text) pairs."""

    places: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]  # words
    pair_places: npt.NDArray[np.int64]
    pair_texts: npt.NDArray[np.int64]


def search_shard(task: SearchTask) -> Path:
    """The folder with the runs of one shard and the numbers of the exam texts that were found in it."""
    return task.shards.make(task.key, lambda folder: _write_runs(task, folder))


def read_runs(folder: Path) -> Runs:
    """The runs `search_shard` found."""
    table = read_table(folder / RUNS_FILE)
    return Runs(*(table[name].to_numpy() for name in Runs._fields))


def read_found(folder: Path) -> npt.NDArray[np.int64]:
    """Numbers of the exam texts `search_shard` found."""
    found: npt.NDArray[np.int64] = np.load(folder / FOUND_FILE)
    return found


def _write_runs(task: SearchTask, folder: Path) -> None:
    index = read_index(task.index)
    begin = 0
    runs, found = [], [np.zeros(0, dtype=np.int64)]
    for piece in text_slices(read_table(task.path, ["text"])):
        own, texts = _search(TextBatch(piece["text"].combine_chunks()), index)
        runs.append(own._replace(rows=own.rows + begin))
        found.append(texts)
        begin += len(piece)
    joined = Runs(*(np.concatenate(column) for column in zip(*runs, strict=True)))
    write_table(pa.table(joined._asdict()), folder / RUNS_FILE)
    np.save(folder / FOUND_FILE, np.unique(np.concatenate(found)))


def _search(batch: TextBatch, index: ExamIndex) -> tuple[Runs, npt.NDArray[np.int64]]:
    """Runs of a batch, and every exam text found in it."""
    words = batch.words
    stream = WordStream.of(words)
    hits = _hits(stream, index)
    first_word, last_word = _covered(hits, len(stream.hashes))
    rows = np.searchsorted(stream.first, first_word, side="right") - 1
    starts, ends = words.starts[words.is_word], words.ends[words.is_word]
    base = batch.buffers.offsets[rows]
    whose = _most_hit(np.searchsorted(first_word, hits.pair_places, side="right") - 1, hits.pair_texts)
    runs = Runs(rows, starts[first_word] - base, ends[last_word] - base, last_word - first_word + 1, whose)
    return runs, np.unique(hits.pair_texts)


def _hits(stream: WordStream, index: ExamIndex) -> _Hits:
    parts = [_Hits(*(np.zeros(0, dtype=np.int64) for _ in _Hits._fields))]
    for n, ngrams in index.ngrams.items():
        places, entries = find_ngrams(stream, n, np.asarray(ngrams.codes))
        sizes = ngrams.first[entries + 1] - ngrams.first[entries]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        texts = np.asarray(ngrams.texts)[np.repeat(ngrams.first[entries], sizes) + within]
        parts.append(_Hits(places, np.full(len(places), n), np.repeat(places, sizes), texts))
    return _Hits(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _covered(hits: _Hits, num_words: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and last word of every maximal run covered by hits that overlap or follow one another."""
    order = np.argsort(hits.places, kind="stable")
    first, end = hits.places[order], (hits.places + hits.sizes)[order]
    if not len(first):
        return first, end
    reach = np.maximum.accumulate(end)
    is_new = np.concatenate([[True], first[1:] >= reach[:-1]])
    last = np.concatenate([np.flatnonzero(is_new)[1:] - 1, [len(first) - 1]])
    assert reach[-1] <= num_words, "an n-gram ends within its text"
    return first[is_new], reach[last] - 1


def _most_hit(runs: npt.NDArray[np.int64], texts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each run, ascending, the text with most hits in it; the smallest number of equals."""
    pairs = np.zeros(len(runs), dtype=[("run", "<i8"), ("text", "<i8")])
    pairs["run"], pairs["text"] = runs, texts
    different, times = np.unique(pairs, return_counts=True)
    order = np.lexsort((different["text"], -times, different["run"]))
    best = different[order]
    is_first = np.ones(len(best), dtype=np.bool_)
    is_first[1:] = best["run"][1:] != best["run"][:-1]
    return np.ascontiguousarray(best["text"][is_first])
