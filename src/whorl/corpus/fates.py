"""corpus/fates: what becomes of every document that passed the filters: kept, or a copy of another; and its part.

The reduce step of corpus.refine: reads every shard's signatures, ids and group keys, and nothing of the texts. The outcome
depends on the set of documents, not on the order or number of shards. Documents of other corpora stay where they are: what
resembles one of them, itself or through others, is the copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.shards import read_table
from whorl.corpus.clean import Cleaned, signature_matrix
from whorl.corpus.dedup import Dedup
from whorl.corpus.filters import Filter
from whorl.corpus.groups import KnownParts, Standing, components, draw_parts, representatives
from whorl.corpus.judge import judge
from whorl.corpus.keep import Keep, ranks
from whorl.corpus.known import KnownCorpus
from whorl.text.columns import text_keys
from whorl.text.lsh import NO_MATCH, Matches, known_matches

__all__ = ["Candidates", "Fates", "Survival", "decide", "read_candidates"]

KEPT = -1


class Candidates(NamedTuple):
    """Documents that passed the filters, shard after shard."""

    ids: pa.ChunkedArray
    num_bytes: npt.NDArray[np.int64]
    group_keys: npt.NDArray[np.uint64]  # hashes
    signatures: tuple[npt.NDArray[np.uint32], ...]  # one table per dedup
    first: npt.NDArray[np.int64]  # where each shard begins (one more than shards)
    ranks: npt.NDArray[np.float64]  # of copies, the highest stays


class Survival(NamedTuple):
    """Who is a copy, and which of several copies stays."""

    dedup: Sequence[Dedup] = ()
    keep: Keep = Keep()
    others: Sequence[KnownCorpus] = ()  # finished corpora whose documents are never dropped


@dataclass(frozen=True)
class Fates:
    """One entry per candidate."""

    dropped_by: npt.NDArray[np.int64]  # number of the dedup that dropped it, or KEPT
    kept_instead: npt.NDArray[np.int64]  # candidate that stands for it (itself when kept, or when another corpus holds it)
    known: npt.NDArray[np.int64]  # document that stands for it, numbered through all other corpora, or NO_MATCH
    parts: npt.NDArray[np.int64]  # index in PARTS
    groups: npt.NDArray[np.int64]  # label of its group

    def slice(self, begin: int, end: int) -> "Fates":
        """The entries of one shard."""
        return Fates(*(getattr(self, field.name)[begin:end] for field in fields(self)))


def read_candidates(cleaned: Sequence[Cleaned], filters: Sequence[Filter], num_dedup: int, keep: Keep) -> Candidates:
    """Those documents of every cleaned shard that pass the filters."""
    columns: list[pa.Table] = []
    ranked = [np.zeros(0)]
    signed: list[list[npt.NDArray[np.uint32]]] = [[] for _ in range(num_dedup)]
    for shard in cleaned:
        figures = read_table(shard.figures)
        is_kept = judge(filters, figures).is_kept
        columns.append(figures.select(["id", "num_bytes", "group_key"]).filter(pa.array(is_kept)))
        ranked.append(ranks(keep, figures, shard.documents)[is_kept])
        table = read_table(shard.signatures)
        for number, found in enumerate(signed):
            found.append(signature_matrix(table[str(number)])[is_kept])
    table = pa.concat_tables(columns)
    signatures = tuple(np.concatenate(found) for found in signed)
    first = np.cumsum([0, *(len(own) for own in columns)])
    keys = text_keys(table["group_key"])
    return Candidates(table["id"], table["num_bytes"].to_numpy(), keys, signatures, first, np.concatenate(ranked))


def decide(candidates: Candidates, survival: Survival, shares: tuple[float, ...], known: KnownParts) -> Fates:
    """Run the deduplications in order, each on what the earlier ones left, then draw parts over everything they linked."""
    count = len(candidates.ids)
    keys = text_keys(candidates.ids)
    dropped_by, kept_instead, elsewhere = np.full(count, KEPT), np.arange(count), np.full(count, NO_MATCH)
    links = [_same_group(candidates.group_keys)]
    for number, member in enumerate(survival.dedup):
        alive = np.flatnonzero(dropped_by == KEPT)
        signatures = candidates.signatures[number][alive]
        pairs = member.links(signatures, keys[alive])
        labels = components(len(alive), pairs)
        standing = representatives(labels, [candidates.ranks[alive], candidates.num_bytes[alive]], keys[alive])
        matched = _held_elsewhere(_matches(survival.others, number, signatures, member.banding().threshold), labels)
        is_copy, instead = _copies(standing, survival.keep)
        is_copy |= matched != NO_MATCH
        dropped_by[alive[is_copy]] = number
        elsewhere[alive] = matched
        stays_here = is_copy & (matched == NO_MATCH)
        kept_instead[alive[stays_here]] = alive[instead[stays_here]]
        links.append(alive[pairs])
    if survival.keep.policy != "none":  # there, nothing stands for a copy
        for _ in survival.dedup:  # what stood for a copy may itself have become one in a later deduplication
            kept_instead = kept_instead[kept_instead]
        elsewhere = elsewhere[kept_instead]
    groups = components(count, np.concatenate(links))
    parts = draw_parts(groups, candidates.group_keys, shares, known)
    return Fates(dropped_by, kept_instead, elsewhere, parts, groups)


def _copies(standing: Standing, keep: Keep) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which documents are copies, and of which one: the best of each component, or, of the best, the next."""
    rows = np.arange(len(standing.first))
    is_first = standing.first == rows
    if keep.policy == "none":
        return standing.first != standing.second, np.where(is_first, standing.second, standing.first)
    return ~is_first, standing.first


def _matches(others: Sequence[KnownCorpus], number: int, signatures: npt.NDArray[np.uint32], threshold: float) -> Matches:
    """What each document repeats of any other corpus: the most similar document, equals going to the corpus listed first."""
    best = Matches(np.full(len(signatures), NO_MATCH), np.zeros(len(signatures)))
    begin = 0
    for corpus in others:
        found = known_matches(signatures, corpus.tables[number], threshold)
        is_better = (found.known != NO_MATCH) & ((best.known == NO_MATCH) | (found.similarity > best.similarity))
        best.known[is_better] = found.known[is_better] + begin
        best.similarity[is_better] = found.similarity[is_better]
        begin += int(corpus.first[-1])
    return best


def _held_elsewhere(matches: Matches, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each document the known one it resembles, or that one its component resembles most, or NO_MATCH."""
    rows = np.flatnonzero(matches.known != NO_MATCH)
    order = rows[np.lexsort((matches.known[rows], -matches.similarity[rows], labels[rows]))]
    components_met, first = np.unique(labels[order], return_index=True)
    of_label = np.full(len(labels), NO_MATCH)
    of_label[components_met] = matches.known[order[first]]
    return np.where(matches.known != NO_MATCH, matches.known, of_label[labels])


def _same_group(group_keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Each document with the next one of the same group key."""
    order = np.argsort(group_keys, kind="stable")
    is_same = group_keys[order[1:]] == group_keys[order[:-1]]
    return np.stack([order[:-1][is_same], order[1:][is_same]], axis=1)
