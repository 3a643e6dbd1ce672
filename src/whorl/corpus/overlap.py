"""corpus/overlap: how much of the watched parts can be found word for word in the training part.

A measure of leakage that does not trust the grouping that is meant to prevent it. Reports; drops nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from whorl.text.batch import TextBatch
from whorl.text.ngrams import NgramIndex, WordStream

__all__ = ["NGRAM_WORDS", "WATCHED", "Overlap", "measure_overlap"]

NGRAM_WORDS = 13  # the window of GPT-3's contamination study, https://arxiv.org/abs/2005.14165, appendix C
WATCHED: tuple[Part, ...] = ("held_out", "exam")


class Overlap(NamedTuple):
    """What a part shares with the training part."""

    num_ngrams: int  # different ones of the watched part
    num_shared: int
    longest_words: int  # longest shared word n-gram

    @property
    def share(self) -> float:
        """Share of the watched part's different n-grams that training text holds too."""
        return self.num_shared / self.num_ngrams if self.num_ngrams else 0.0


@dataclass(frozen=True)
class _Search:
    path: Path
    watched: Mapping[Part, WordStream]


class _Found(NamedTuple):
    is_shared: npt.NDArray[np.bool_]
    longest_words: int


def measure_overlap(job: Job, paths: Sequence[Path]) -> dict[Part, Overlap]:
    """Compare each watched part with `train`, shard by shard. Memory: the words of the watched parts and of one shard."""
    read = [_words_of(path, WATCHED) for path in paths]
    watched = {part: WordStream.join([words[part] for words in read]) for part in WATCHED}
    is_shared = {part: np.zeros(len(NgramIndex(watched[part]).of(NGRAM_WORDS)), dtype=np.bool_) for part in WATCHED}
    longest = dict.fromkeys(WATCHED, 0)
    for found in mapped(job, _search_shard, [_Search(path, watched) for path in paths]):
        for part in WATCHED:
            is_shared[part] |= found[part].is_shared
            longest[part] = max(longest[part], found[part].longest_words)
    return {part: Overlap(len(is_shared[part]), int(is_shared[part].sum()), longest[part]) for part in WATCHED}


def _search_shard(task: _Search) -> dict[Part, _Found]:
    train = _words_of(task.path, ("train",))["train"]
    indexes = {part: NgramIndex(words) for part, words in task.watched.items()}
    return {part: _Found(i.found_in(train, NGRAM_WORDS), i.longest_shared(train)) for part, i in indexes.items()}


def _words_of(path: Path, parts: Sequence[Part]) -> dict[Part, WordStream]:
    table = read_table(path, ["text", "part"])
    texts = {part: table.filter(pc.equal(table["part"], part))["text"] for part in parts}
    empty = pa.array([], pa.large_string())
    return {part: WordStream.of(TextBatch(column if len(column) else empty).words) for part, column in texts.items()}
