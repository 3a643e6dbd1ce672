"""corpus/fates: what becomes of every document that passed the filters: kept, or a copy of another; and its part.

The reduce step of corpus.refine: reads every shard's signatures, ids and group keys, and nothing of the texts. The outcome
depends on the set of documents, not on the order or number of shards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.shards import read_table
from whorl.corpus.clean import Cleaned, signature_matrix
from whorl.corpus.dedup import Dedup
from whorl.corpus.filters import Filter
from whorl.corpus.groups import KnownParts, components, draw_parts, representatives
from whorl.corpus.judge import judge
from whorl.text.columns import text_keys

__all__ = ["Candidates", "Fates", "decide", "read_candidates"]

KEPT = -1


class Candidates(NamedTuple):
    """Documents that passed the filters, shard after shard."""

    ids: pa.ChunkedArray
    num_bytes: npt.NDArray[np.int64]
    group_keys: npt.NDArray[np.uint64]  # hashes
    signatures: tuple[npt.NDArray[np.uint32], ...]  # one table per dedup
    first: npt.NDArray[np.int64]  # where each shard begins (one more than shards)


@dataclass(frozen=True)
class Fates:
    """One entry per candidate."""

    dropped_by: npt.NDArray[np.int64]  # number of the dedup that dropped it, or KEPT
    kept_instead: npt.NDArray[np.int64]  # candidate that stands for it (itself when kept)
    parts: npt.NDArray[np.int64]  # index in PARTS
    groups: npt.NDArray[np.int64]  # label of its group

    def slice(self, begin: int, end: int) -> "Fates":
        """The entries of one shard."""
        return Fates(*(column[begin:end] for column in (self.dropped_by, self.kept_instead, self.parts, self.groups)))


def read_candidates(cleaned: Sequence[Cleaned], filters: Sequence[Filter], num_dedup: int) -> Candidates:
    """Those documents of every cleaned shard that pass the filters."""
    columns: list[pa.Table] = []
    signed: list[list[npt.NDArray[np.uint32]]] = [[] for _ in range(num_dedup)]
    for shard in cleaned:
        figures = read_table(shard.figures)
        is_kept = judge(filters, figures).is_kept
        columns.append(figures.select(["id", "num_bytes", "group_key"]).filter(pa.array(is_kept)))
        table = read_table(shard.signatures)
        for number, found in enumerate(signed):
            found.append(signature_matrix(table[str(number)])[is_kept])
    table = pa.concat_tables(columns)
    signatures = tuple(np.concatenate(found) for found in signed)
    first = np.cumsum([0, *(len(own) for own in columns)])
    return Candidates(table["id"], table["num_bytes"].to_numpy(), text_keys(table["group_key"]), signatures, first)


def decide(candidates: Candidates, dedup: Sequence[Dedup], shares: tuple[float, ...], known: KnownParts) -> Fates:
    """Run the deduplications in order, each on what the earlier ones left, then draw parts over everything they linked."""
    count = len(candidates.ids)
    keys = text_keys(candidates.ids)
    dropped_by = np.full(count, KEPT)
    kept_instead = np.arange(count)
    links = [_same_group(candidates.group_keys)]
    for number, member in enumerate(dedup):
        alive = np.flatnonzero(dropped_by == KEPT)
        pairs = member.links(candidates.signatures[number][alive], keys[alive])
        best = alive[representatives(components(len(alive), pairs), candidates.num_bytes[alive], keys[alive])]
        is_copy = best != alive
        dropped_by[alive[is_copy]] = number
        kept_instead[alive[is_copy]] = best[is_copy]
        links.append(alive[pairs])
    for _ in dedup:  # what stood for a copy may itself have become one in a later deduplication
        kept_instead = kept_instead[kept_instead]
    groups = components(count, np.concatenate(links))
    return Fates(dropped_by, kept_instead, draw_parts(groups, candidates.group_keys, shares, known), groups)


def _same_group(group_keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Each document with the next one of the same group key."""
    order = np.argsort(group_keys, kind="stable")
    is_same = group_keys[order[1:]] == group_keys[order[:-1]]
    return np.stack([order[:-1][is_same], order[1:][is_same]], axis=1)
