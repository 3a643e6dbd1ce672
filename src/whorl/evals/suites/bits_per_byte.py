"""evals/suites/bits_per_byte: how well models predict text they have not seen, in bits per UTF-8 byte, beside baselines.

Never scores the part models are trained on. Baselines that read text are fitted on the train part and score the same
documents as the models; they need `documents`. Intervals are bootstraps over documents. Does not compare tokenizers' per-token
losses, which mean nothing across vocabularies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from whorl.core.config import Part, Ref
from whorl.core.errors import DataError
from whorl.core.seed import Seed
from whorl.evals.baselines import Baseline, Cost
from whorl.evals.document_nats import document_nats
from whorl.evals.examinee import UNTRAINED, Examinee, untrained
from whorl.evals.figures import Figure, Section
from whorl.evals.suites import Sitting, Suite
from whorl.evals.texts import text_behind
from whorl.measure.bits import bits_per_byte
from whorl.measure.intervals import bootstrap
from whorl.tasks.named import Corpus
from whorl.tokens.shards import TOKENIZER_FOLDER, TokenShards
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["BitsPerByte"]

_LN2 = float(np.log(2))


def _unseen(data: Ref[Any]) -> Ref[Any]:
    if data.part not in ("held_out", "exam"):
        raise ValueError(f"'{data}': want a part that no model is trained on: '{data.target}.held_out' or '{data.target}.exam'")
    return data


def _usual() -> tuple[Baseline, ...]:
    return tuple(Baseline.model_validate({"use": use}) for use in ("uniform", "ngram", "xz"))


class BitsPerByte(Suite):
    """Negative log2-likelihood of held-out documents over their bytes."""

    data: Annotated[Ref[Literal["tokens"]], AfterValidator(_unseen)]
    documents: Corpus | None = None  # the corpus behind `data`; None: no baselines that read text
    baselines: tuple[Baseline, ...] = Field(default_factory=_usual)
    has_untrained: bool = True  # also score the first model's architecture with newly drawn weights
    width: int | None = Field(default=None, ge=2)  # tokens read at once; None: all that the model has positions for

    def num_cases(self, num_models: int, folders: Mapping[str, Path]) -> int:
        """Documents, once per model and once per baseline."""
        runs = num_models + self.has_untrained + (len(self.baselines) if self.documents else 0)
        return runs * self._shards(folders).num_docs

    def examine(self, models: Sequence[Examinee], sitting: Sitting) -> Section:
        """See Suite.examine."""
        shards = self._shards(sitting.folders)
        self._check_vocabulary(models, sitting.folders)
        sizes = np.array([shards.doc_bytes(i) for i in range(shards.num_docs)])
        if not sizes.all():
            raise DataError(f"'{self.data}': document {shards.doc_id(int(sizes.argmin()))} is empty; drop it in corpus.refine")
        fresh = [untrained(models[0], seed=sitting.seed.child(UNTRAINED))] if self.has_untrained else []
        figures = [self._of_model(model, shards, sizes, sitting) for model in [*models, *fresh]]
        figures += self._of_baselines(sizes, sitting)
        return Section(
            use=self.use,
            title=f"Bits per byte on {_part(self.data).replace('_', '-')} documents",
            definition=(
                "Negative log2-likelihood of whole documents divided by their UTF-8 bytes; lower is better. Every token is "
                "scored once, with at least half a window of its own document before it where there is that much; begin and "
                "end marks are not counted. Intervals: 95 % bootstrap over documents."
            ),
            figures=tuple(figures),
            facts={"part": self.data.part, "documents": shards.num_docs, "bytes": int(sizes.sum())},
        )

    def _shards(self, folders: Mapping[str, Path]) -> TokenShards:
        shards = TokenShards.open(folders[self.data.target], _part(self.data))
        if not shards.num_docs:
            raise DataError(f"'{self.data}' has no documents; a corpus this small leaves nothing to examine on")
        return shards

    def _check_vocabulary(self, models: Sequence[Examinee], folders: Mapping[str, Path]) -> None:
        wanted = Tokenizer.load(folders[self.data.target] / TOKENIZER_FOLDER).fingerprint
        for model in models:
            if (own := model.renderer.tokenizer.fingerprint) != wanted:
                raise DataError(
                    f"model '{model.name}' has tokenizer {own[:12]}, but '{self.data}' was encoded with {wanted[:12]}; "
                    "encode the documents with the model's tokenizer"
                )

    def _of_model(self, model: Examinee, shards: TokenShards, sizes: np.ndarray, sitting: Sitting) -> Figure:
        width = min(self.width or model.config.max_positions, model.config.max_positions)
        nats = document_nats(
            model.engine,
            [shards.doc(i) for i in range(shards.num_docs)],
            width=width,
            report=lambda more: sitting.tally.add(more, doing=f"{self.use} of {model.name}"),
        )
        how = f"window of {width} tokens" + (", newly drawn weights" if model.name == UNTRAINED else "")
        figure = _figure(model.name, Cost(float(nats.sum()) / _LN2, nats / _LN2), sizes, seed=sitting.seed, how=how)
        return replace(figure, kind="baseline" if model.name == UNTRAINED else "model")

    def _of_baselines(self, sizes: np.ndarray, sitting: Sitting) -> Iterator[Figure]:
        if self.documents is None or not self.baselines:
            return
        folder, tokens = sitting.folders[self.documents.target], sitting.folders[self.data.target]
        train, scored = text_behind(folder, tokens, "train"), text_behind(folder, tokens, _part(self.data))
        for baseline in self.baselines:
            cost = baseline.cost(train, scored)
            yield _figure(baseline.use, cost, sizes, seed=sitting.seed, how=baseline.definition)
            sitting.tally.add(len(sizes), doing=f"{self.use} of {baseline.use}")


def _figure(of: str, cost: Cost, sizes: np.ndarray, *, seed: Seed, how: str) -> Figure:
    value = bits_per_byte(cost.total_bits * _LN2, int(sizes.sum()))
    # One seed for every row: all are drawn on the same documents, so their intervals can be held against each other.
    bits = cost.document_bits
    interval = None if bits is None else bootstrap(bits, sizes, seed=seed.child("bootstrap"))
    return Figure(of, "baseline", value, "bits per byte", len(sizes), "documents", interval, how)


def _part(data: Ref[Any]) -> Part:
    assert data.part is not None, "checked when the recipe was read"
    return data.part
