"""corpus/stages/learn_quality: documents of two kinds -> classifier: what tells the wanted from the unwanted, and how well.

Learns from the part `train`, calibrates and measures on `held_out`; parts keep near duplicates together, so no held-out
document was all but seen. What is learnt is the difference between the two kinds, whatever it is: if one kind is about films,
films are learnt, and the report's most telling words show it. Ships no classifier and knows no standard of quality.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from whorl.core.artifact import Artifact, write_text_atomic
from whorl.core.config import Part, Ref
from whorl.core.errors import DataError
from whorl.core.shards import iter_tables
from whorl.core.stage import Job, Stage
from whorl.corpus.appraisal import Appraisal, appraise
from whorl.text.batch import TextBatch
from whorl.text.columns import text_keys
from whorl.text.hashed import Features, Rows, hashed_rows
from whorl.text.linear import LinearClassifier
from whorl.text.logistic import calibrated, fit_logistic, products

__all__ = ["LearnQuality"]

_BATCH_BYTES: Final = 8_000_000  # of text; bounds the memory of words
_FEWEST: Final = 10  # held-out documents of each kind; fewer say next to nothing
_TELLING_WORDS: Final = 40
_TELLING_BYTES: Final = 4_000_000  # of held-out text whose words are weighed


class LearnQuality(Stage):
    """A calibrated classifier over hashed n-grams. Its score is the chance that a document is of the positive kind."""

    makes: ClassVar[str] = "classifier"

    positives: Ref[Literal["documents"]]
    negatives: Ref[Literal["documents"]]
    features: Features = Features()
    l2: float = Field(1e-5, gt=0)  # penalty on squared weights, for a mean loss per document
    positive_share: float = Field(0.5, gt=0, lt=1)  # how common positives are where scores will be read
    max_steps: int = Field(500, ge=1)  # of the solver; it stops by itself long before
    max_documents: int = Field(20_000, ge=_FEWEST)  # of each kind and part; about 10 kB of memory each

    @field_validator("positives", "negatives")
    @classmethod
    def _reads_all_parts(cls, value: Ref[Any]) -> Ref[Any]:
        if value.part is not None:
            raise ValueError(f"learns from train and measures on held_out; want '{value.target}', got '{value}'")
        return value

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of text, as far as they are looked at."""
        both = [inputs.get(ref.target) for ref in (self.positives, self.negatives)]
        return float(sum(one.size_bytes for one in both if one)) if all(both) else None

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises DataError when a kind has too few documents in a part."""
        train = self._read(job, "train")
        costs, places = self._costs(train.labels), 1 << self.features.bits
        fit = fit_logistic(train.rows, train.labels, costs, num_places=places, l2=self.l2, max_steps=self.max_steps)
        if not fit.is_converged:
            job.events.warn(f"not converged after {fit.steps} steps; raise max_steps, or l2 from {self.l2:g}")
        held_out = self._read(job, "held_out")
        margins = products(held_out.rows, fit.weights) + fit.bias
        weights = self._costs(held_out.labels)
        appraisal = appraise(margins, held_out.labels, weights, keys=held_out.keys)
        calibration = calibrated(margins, held_out.labels, weights)
        classifier = LinearClassifier.of(self.features, fit, calibration)
        classifier.save(job.folder)
        counts = {**train.counts("train"), **held_out.counts("held_out"), "steps": fit.steps, "train_loss": round(fit.loss, 6)}
        self._write_report(job, classifier, appraisal=appraisal, counts=counts)
        return {**counts, **appraisal.headline}

    def _read(self, job: Job, part: Part) -> "_Sample":
        kinds = [(True, self.positives), (False, self.negatives)]
        return _Sample.join([_read(job, ref, part, is_positive=label, stage=self) for label, ref in kinds])

    def _costs(self, labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """What each document counts, so that both kinds together are as common as `positive_share` says."""
        num_positive = int(labels.sum())
        return np.where(labels, self.positive_share / num_positive, (1 - self.positive_share) / (len(labels) - num_positive))

    def _write_report(self, job: Job, classifier: LinearClassifier, *, appraisal: Appraisal, counts: Mapping[str, Any]) -> None:
        report = {
            "counts": dict(counts),
            "positive_share": self.positive_share,
            **appraisal.headline,
            "operating_points": [point._asdict() for point in appraisal.points],
            "telling_words": _telling_words(job, classifier, (self.positives, self.negatives)),
        }
        write_text_atomic(job.folder / "report.json", json.dumps(report, indent=1, ensure_ascii=True) + "\n")


class _Sample(NamedTuple):
    """Documents of one part, both kinds."""

    rows: Rows
    labels: npt.NDArray[np.bool_]
    keys: npt.NDArray[np.uint64]  # hashes of ids

    @classmethod
    def join(cls, samples: "list[_Sample]") -> "_Sample":
        rows = Rows.join([sample.rows for sample in samples])
        return cls(rows, *(np.concatenate([sample[at] for sample in samples]) for at in (1, 2)))

    def counts(self, part: Part) -> dict[str, int]:
        return {f"{part}.positives": int(self.labels.sum()), f"{part}.negatives": int((~self.labels).sum())}


def _read(job: Job, ref: Ref[Any], part: Part, *, is_positive: bool, stage: LearnQuality) -> _Sample:
    """The rows of one kind's documents of a part: all, or those with the smallest keys."""
    folder = job.open(ref).path
    last = _last_key(folder, part, stage.max_documents)
    parts, keys = [], [np.zeros(0, np.uint64)]
    for table in _tables(folder, part):
        own = text_keys(table["id"])
        chosen = table.filter(pa.array(own <= last))
        keys.append(own[own <= last])
        parts += [hashed_rows(TextBatch(texts), stage.features) for texts in _batches(chosen["text"])]
        job.events.progress(sum(len(k) for k in keys), None, "documents", step_name=f"{ref.target} {part}")
    found = np.concatenate(keys)
    if len(found) < _FEWEST:
        raise DataError(
            f"{job.name}: '{ref.target}' has {len(found)} documents of the part {part}, want at least {_FEWEST}; give "
            f"corpus.refine more documents, or a larger share for {part} in its parts"
        )
    return _Sample(Rows.join(parts), np.full(len(found), is_positive), found)


def _last_key(folder: Path, part: Part, most: int) -> np.uint64:
    """The largest key to take: a sample that does not depend on the order of documents."""
    keys = [np.zeros(0, np.uint64), *(text_keys(table["id"]) for table in _tables(folder, part, ("id", "part")))]
    ranked = np.sort(np.concatenate(keys))
    return np.uint64(ranked[most - 1] if len(ranked) > most else 2**64 - 1)


def _tables(folder: Path, part: Part, columns: tuple[str, ...] = ("id", "text", "part")) -> Iterator[pa.Table]:
    for table in iter_tables(folder, columns=columns):
        yield table.filter(pc.equal(table["part"], part))


def _batches(texts: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Slices of about _BATCH_BYTES, in order."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy())
    begin = 0
    while begin < len(texts):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + _BATCH_BYTES, side="right")))
        yield texts.slice(begin, end - begin).combine_chunks()
        begin = end


def _telling_words(job: Job, classifier: LinearClassifier, refs: tuple[Ref[Any], ...]) -> dict[str, list[list[Any]]]:
    """The held-out words with the largest weights either way, each with its weight; in two documents at least."""
    seen: dict[str, int] = {}
    for ref in refs:
        texts = pa.chunked_array(
            [t["text"].combine_chunks() for t in _tables(job.open(ref).path, "held_out")], pa.large_string()
        )
        ends = np.cumsum(pc.binary_length(texts).to_numpy())
        for text in texts.slice(0, int(np.searchsorted(ends, _TELLING_BYTES)) + 1).to_pylist():
            for word in set(text.lower().split()):
                seen[word] = seen.get(word, 0) + 1
    words = sorted(word for word, count in seen.items() if count > 1 and word.isalpha())
    weights = classifier.word_weights(words)
    order = np.argsort(weights, kind="stable")
    drawn = [[words[i], round(float(weights[i]), 4)] for i in order.tolist()]
    return {"negative": drawn[:_TELLING_WORDS], "positive": drawn[::-1][:_TELLING_WORDS]}
