"""corpus/stages/mix: several corpora as one, in wanted shares of bytes, with a cap on how often each is read.

Shares are of training text. What is watched (`held_out`, `exam`) is drawn at the same rates, but never repeated. Which
documents are taken follows from their ids and the seed: a larger total takes all that a smaller one did. A group that has
different parts in different sources gets the strictest. Up to about four epochs cost little: https://arxiv.org/abs/2305.16264.
Does not look for copies across sources: refine them together, or deduplicate one against another, before.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from whorl.core.artifact import Artifact
from whorl.core.config import PARTS, Config, Ref
from whorl.core.errors import ConfigError, DataError
from whorl.core.quantity import Bytes
from whorl.core.shards import ShardCache, read_table
from whorl.core.stage import Job, Stage
from whorl.corpus.draw import (
    Drawn,
    DrawRule,
    DrawTask,
    Measured,
    MeasureTask,
    Quota,
    cut_off,
    draw_shard,
    measure_shard,
    order_of,
    read_measured,
)
from whorl.corpus.group_keys import GroupBy
from whorl.corpus.groups import KnownParts
from whorl.corpus.mixture import Supply, largest_total, passes, shares
from whorl.corpus.passing import documents_in, passed_counts
from whorl.corpus.shard_map import mapped
from whorl.text.columns import text_keys

__all__ = ["Ingredient", "Mix"]


class Ingredient(Config):
    """One corpus of a mixture."""

    from_: Ref[Literal["documents"]] = Field(alias="from")
    weight: float | None = Field(None, gt=0)  # relative to the others
    max_epochs: float = Field(1, gt=0)  # times its training text may be read


class Mix(Stage):
    """Documents of all ingredients, drawn so that their training text has the wanted shares."""

    is_seeded: ClassVar[bool] = True

    sources: tuple[Ingredient, ...] = Field(min_length=1)
    temperature: float = Field(1, gt=0)  # without weights, shares are sizes to the power of 1 / temperature
    total: Bytes | None = Field(None, gt=0)  # bytes of training text; None: the most that shares and caps allow
    group_by: GroupBy = "page"  # as in corpus.refine

    @model_validator(mode="after")
    def _weights_are_for_all_or_none(self) -> Self:
        has_weight = {source.weight is not None for source in self.sources}
        if len(has_weight) > 1:
            raise ValueError("sources: some have a weight and some have none; set it on all of them, or on none")
        if self.temperature != 1 and True in has_weight:
            raise ValueError(f"temperature={self.temperature:g} has no effect on weights; leave one of them out")
        twice = [name for name, times in Counter(self._names()).items() if times > 1]
        if twice:
            raise ValueError(f"sources: '{twice[0]}' is listed twice; raise its max_epochs to read it more often")
        return self

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises ConfigError when total is out of reach, DataError when ids meet or a source has nothing."""
        shards = [documents_in(job.open(source.from_)) for source in self.sources]
        measured = self._measured(job, shards)
        _check_ids(shards, measured)
        stricter = _stricter(measured)
        plan = self._plan(job, [_with_parts(one, stricter) for one in measured])
        tasks = self._tasks(job, shards, plan=plan, stricter=stricter)
        drawn = list(mapped(job, draw_shard, tasks))
        return _counts(drawn, [task.name for task in tasks], plan)

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of text that come in."""
        made = [inputs[source.from_.target] for source in self.sources if source.from_.target in inputs]
        sizes = [float(artifact.counts["bytes"]) for artifact in made if artifact.counts.get("bytes") is not None]
        return sum(sizes) if len(sizes) == len(self.sources) else None

    def _names(self) -> list[str]:
        return [str(source.from_) for source in self.sources]

    def _measured(self, job: Job, shards: Sequence[Sequence[tuple[Path, str]]]) -> list[Measured]:
        tasks = [
            MeasureTask(
                path, ShardCache.key("corpus.mix", self.code_version, self.group_by, content), job.shards, self.group_by
            )
            for own in shards
            for path, content in own
        ]
        paths = iter(list(mapped(job, measure_shard, tasks)))
        return [read_measured([next(paths) for _ in own]) for own in shards]

    def _plan(self, job: Job, measured: Sequence[Measured]) -> list["_Portion"]:
        """What to take of each source."""
        trains = [one.parts == PARTS.index("train") for one in measured]
        supplies = [
            Supply(name, int(one.num_bytes[is_train].sum()), source.max_epochs, source.weight)
            for name, one, is_train, source in zip(self._names(), measured, trains, self.sources, strict=True)
        ]
        if empty := [supply.name for supply in supplies if not supply.size_bytes]:
            raise DataError(f"{job.name}: '{empty[0]}' has no training text; take it out of sources")
        wanted = shares(supplies, self.temperature)
        most, tightest = largest_total(supplies, wanted)
        if self.total is not None and self.total > most:
            raise ConfigError(
                f"{job.name}: total={self.total} bytes is out of reach: '{tightest.name}' has {tightest.size_bytes} bytes and "
                f"max_epochs={tightest.max_epochs:g}, which allows {most}; raise its max_epochs, or lower its weight or total"
            )
        times = passes(supplies, wanted, self.total or most)
        seed = job.seed.child("mix").number
        quotas = [
            cut_off(order_of(one.ids[is_train], seed), one.num_bytes[is_train], many)
            for one, is_train, many in zip(measured, trains, times, strict=True)
        ]
        return [_Portion(*entry) for entry in zip(supplies, wanted, quotas, strict=True)]

    def _tasks(
        self, job: Job, shards: Sequence[Sequence[tuple[Path, str]]], *, plan: Sequence["_Portion"], stricter: KnownParts
    ) -> list[DrawTask]:
        rule = DrawRule(
            job.seed.child("mix").number, self.group_by, stricter, any(portion.quota.is_repeating for portion in plan)
        )
        paths = [(portion, path) for portion, own in zip(plan, shards, strict=True) for path, _ in own]
        return [
            DrawTask(path, portion.supply.name, portion.quota, rule, job.folder, number, len(paths) + number)
            for number, (portion, path) in enumerate(paths)
        ]


class _Portion(NamedTuple):
    """What is taken of one source."""

    supply: Supply
    wanted: float  # share of training text
    quota: Quota


def _with_parts(measured: Measured, stricter: KnownParts) -> Measured:
    """The same documents with the parts they have in the mixture."""
    return measured._replace(parts=np.maximum(measured.parts, stricter.look_up(measured.groups)).astype(np.int8))


def _stricter(measured: Sequence[Measured]) -> KnownParts:
    """Groups that do not have the same part everywhere, with the strictest one."""
    groups = np.concatenate([one.groups for one in measured])
    parts = np.concatenate([one.parts for one in measured]).astype(np.int64)
    strictest = KnownParts.of(groups, parts)
    is_laxer = parts < strictest.look_up(groups)
    is_torn = np.isin(strictest.keys, groups[is_laxer])
    return KnownParts(strictest.keys[is_torn], strictest.parts[is_torn])


def _check_ids(shards: Sequence[Sequence[tuple[Path, str]]], measured: Sequence[Measured]) -> None:
    """Raises DataError when two documents share an id. Ids are read again only where their hashes meet."""
    hashes = np.sort(np.concatenate([one.ids for one in measured]))
    meeting = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(meeting):
        return
    found = [_meeting_ids(path, meeting) for own in shards for path, _ in own]
    counts = pc.value_counts(pa.chunked_array([chunk for column in found for chunk in column.chunks], pa.string()))
    twice = sorted(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist())
    if twice:
        shown = ", ".join(twice[:3])
        raise DataError(f"ids occur in more than one source: {shown}; set name where they are collected, or leave a source out")


def _meeting_ids(path: Path, meeting: npt.NDArray[np.uint64]) -> pa.ChunkedArray:
    ids = read_table(path, ["id"])["id"]
    return ids.filter(pa.array(np.isin(text_keys(ids), meeting)))


def _counts(drawn: Sequence[Drawn], names: Sequence[str], plan: Sequence[_Portion]) -> dict[str, Any]:
    """What came in is what goes out once plus what was not drawn; repeats are counted on top of it."""
    counts = passed_counts([shard.passed for shard in drawn])
    repeated = {"documents": sum(shard.copies for shard in drawn), "bytes": sum(shard.copy_bytes for shard in drawn)}
    for name, more in repeated.items():
        counts[name] += more
        counts[f"train.{name}"] += more
        counts[f"repeated.{name}"] = more
    counts["moved_to_a_stricter_part"] = sum(shard.moved for shard in drawn)
    train_bytes = sum(shard.train_bytes for shard in drawn)
    for supply, wanted, _ in plan:
        own = sum(shard.train_bytes for shard, name in zip(drawn, names, strict=True) if name == supply.name)
        counts |= {
            f"sources.{supply.name}.train_bytes_in": supply.size_bytes,
            f"sources.{supply.name}.train_bytes": own,
            f"sources.{supply.name}.epochs": round(own / supply.size_bytes, 6),
            f"sources.{supply.name}.wanted_share": round(wanted, 6),
            f"sources.{supply.name}.share": round(own / train_bytes, 6),
        }
    return counts
