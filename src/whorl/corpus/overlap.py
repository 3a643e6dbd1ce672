"""corpus/overlap: how much of the watched parts can be found word for word in the training part.

A measure of leakage that does not trust the grouping that is meant to prevent it. Reports; drops nothing. Of a watched part
larger than WATCHED_BYTES, the documents whose ids have the smallest hashes are watched: memory does not follow the corpus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.config import Part
from whorl.core.shards import read_table
from whorl.core.stage import Job
from whorl.corpus.shard_map import mapped
from whorl.corpus.slices import text_slices
from whorl.text.batch import TextBatch
from whorl.text.columns import text_keys
from whorl.text.ngrams import SharedPlaces, WordStream, find_ngrams, longest_shared

__all__ = ["NGRAM_WORDS", "WATCHED", "Overlap", "measure_overlap"]

NGRAM_WORDS = 13  # the window of GPT-3's contamination study, https://arxiv.org/abs/2005.14165, appendix C
WATCHED: tuple[Part, ...] = ("held_out", "exam")
WATCHED_BYTES = 4_000_000  # of a part: some seven hundred thousand n-grams, whatever the size of the corpus
_LAST_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)


class Overlap(NamedTuple):
    """What a part shares with the training part."""

    num_ngrams: int  # different ones of the watched documents
    num_shared: int
    longest_words: int  # longest shared word n-gram

    @property
    def share(self) -> float:
        """Share of the watched documents' different n-grams that training text holds too."""
        return self.num_shared / self.num_ngrams if self.num_ngrams else 0.0


@dataclass(frozen=True)
class _Search:
    path: Path
    watched: Mapping[Part, Path]  # folders with the words of the watched documents

    def __str__(self) -> str:
        return str(self.path)


@dataclass
class _Watched:
    """The words of the watched documents of a part, and what was found of them so far."""

    words: WordStream
    codes: npt.NDArray[np.uint64]  # different n-grams, ascending
    entries: list[npt.NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, dtype=np.int64)])
    longest: int = 0  # words; 0: less than an n-gram

    @classmethod
    def read(cls, folder: Path) -> "_Watched":
        words = WordStream(np.load(folder / "hashes.npy"), np.load(folder / "first.npy"))
        return cls(words, np.load(_codes_path(folder, NGRAM_WORDS)))

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        return self.words.places(NGRAM_WORDS)

    @cached_property
    def codes_at_places(self) -> npt.NDArray[np.uint64]:
        return self.words.ngrams(NGRAM_WORDS, self.places)

    def search(self, train: WordStream) -> None:
        """Note what some training text shares."""
        found = find_ngrams(train, NGRAM_WORDS, self.codes)
        self.entries.append(np.unique(found.entries))
        if len(found.places):
            own = self.places[np.isin(self.codes_at_places, self.codes[self.entries[-1]])]
            places = SharedPlaces(own, found.places)
            self.longest = max(self.longest, longest_shared(self.words, train, places, at_least=NGRAM_WORDS))


class _Found(NamedTuple):
    entries: npt.NDArray[np.int64]  # of the sorted n-grams
    longest_words: int


def measure_overlap(job: Job, paths: Sequence[Path]) -> dict[Part, Overlap]:
    """Compare each watched part with `train`, shard by shard. Memory: the words of the watched documents and of one slice."""
    folders = {part: _write_watched(paths, part, job.scratch / f"watched-{part}") for part in WATCHED}
    tasks = [_Search(path, folders) for path in paths]
    is_shared = {part: np.zeros(len(np.load(_codes_path(folders[part], NGRAM_WORDS))), dtype=np.bool_) for part in WATCHED}
    longest = dict.fromkeys(WATCHED, 0)
    for found in mapped(job, _search_shard, tasks):
        for part in WATCHED:
            is_shared[part][found[part].entries] = True
            longest[part] = max(longest[part], found[part].longest_words)
    for part in WATCHED:
        if not longest[part]:  # rare but in small corpora: how much is shared below an n-gram needs another search
            longest[part] = _longest_below(job, tasks, part)
    return {part: Overlap(len(is_shared[part]), int(is_shared[part].sum()), longest[part]) for part in WATCHED}


def _write_watched(paths: Sequence[Path], part: Part, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    last = _last_watched(paths, part)
    watched = WordStream.join([words for path in paths for words in _words_of(path, part, last)])
    np.save(folder / "hashes.npy", watched.hashes)
    np.save(folder / "first.npy", watched.first)
    _write_codes(folder, watched, NGRAM_WORDS)
    return folder


def _write_codes(folder: Path, watched: WordStream, n: int) -> None:
    """Write the different n-grams of a length, ascending."""
    np.save(_codes_path(folder, n), np.unique(watched.ngrams(n)))


def _codes_path(folder: Path, n: int) -> Path:
    return folder / f"codes-{n:02d}.npy"


def _last_watched(paths: Sequence[Path], part: Part) -> np.uint64:
    """The greatest hash of an id that is still watched."""
    keys, sizes = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    for path in paths:
        table = read_table(path, ["id", "text", "part"])
        table = table.filter(pc.equal(table["part"], part))
        keys.append(text_keys(table["id"]))
        sizes.append(pc.binary_length(table["text"]).to_numpy())
    key, size = np.concatenate(keys), np.concatenate(sizes)
    order = np.argsort(key, kind="stable")
    beyond = np.flatnonzero(np.cumsum(size[order]) > WATCHED_BYTES)
    return np.uint64(key[order[beyond[0]]]) if len(beyond) else _LAST_KEY


def _words_of(path: Path, part: Part, last: np.uint64 = _LAST_KEY) -> list[WordStream]:
    """Words of the documents of a part whose ids have a hash up to `last`, a slice at a time."""
    table = read_table(path, ["id", "text", "part"])
    table = table.filter(pc.equal(table["part"], part))
    if last != _LAST_KEY:
        table = table.filter(pa.array(text_keys(table["id"]) <= last))
    columns = (piece["text"].combine_chunks() for piece in text_slices(table) if len(piece))
    return [WordStream.of(TextBatch(texts).words) for texts in columns]


def _search_shard(task: _Search) -> dict[Part, _Found]:
    watched = {part: _Watched.read(folder) for part, folder in task.watched.items()}
    for train in _words_of(task.path, "train"):
        for own in watched.values():
            own.search(train)
    return {part: _Found(np.unique(np.concatenate(own.entries)), own.longest) for part, own in watched.items()}


def _longest_below(job: Job, tasks: Sequence[_Search], part: Part) -> int:
    folder = tasks[0].watched[part]
    words = _Watched.read(folder).words
    for n in range(1, NGRAM_WORDS):
        _write_codes(folder, words, n)
    return max(mapped(job, _search_short, [_Search(task.path, {part: folder}) for task in tasks]), default=0)


def _search_short(task: _Search) -> int:
    """Words in the longest n-gram below NGRAM_WORDS that is shared; a shared n-gram contains a shared (n-1)-gram."""
    low, high = 0, NGRAM_WORDS
    train = WordStream.join(_words_of(task.path, "train"))
    for folder in task.watched.values():
        while high - low > 1:
            middle = (low + high) // 2
            is_shared = len(find_ngrams(train, middle, np.load(_codes_path(folder, middle))).places) > 0
            low, high = (middle, high) if is_shared else (low, middle)
    return low
