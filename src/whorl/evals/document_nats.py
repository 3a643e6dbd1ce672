"""evals/document_nats: how many nats a model gives each document, every token scored once, documents never joined.

The begin mark is read and not scored, the end mark is neither: both are no part of the text. Windows are those of
evals/windows. Windows of like length go through the model together; that changes nothing but the time.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from whorl.core.errors import DataError
from whorl.evals.windows import Window, windows
from whorl.infer.engine import Engine

__all__ = ["document_nats"]

_TOKENS_AT_ONCE = 8192  # of windows in one call: logits of 8,192 x 4,096 float32 are 128 MB


def document_nats(engine: Engine, documents: Sequence[np.ndarray], *, width: int, report: Callable[[int], None]) -> np.ndarray:
    """Negative log-likelihood of each document (ids from begin mark to end mark), float64 nats.

    `width` is the number of tokens in a window; `report` is told how many more documents are through.
    """
    nats = np.zeros(len(documents))
    cuts = [(number, cut) for number, ids in enumerate(documents) for cut in windows(len(ids) - 1, width)]
    cuts.sort(key=lambda item: (item[1].start - item[1].stop, item[0], item[1].start))
    told = 0
    for batch, num_through in _batches(cuts):
        logprobs = engine.score([documents[number][cut.start : cut.stop].tolist() for number, cut in batch])
        for (number, cut), found in zip(batch, logprobs, strict=True):
            nats[number] -= found[cut.first - cut.start - 1 :].sum(dtype=np.float64)
        share = len(documents) * num_through // len(cuts)
        report(share - told)
        told = share
    report(len(documents) - told)
    if not np.isfinite(nats).all():
        raise DataError(f"the model gives document {int(np.flatnonzero(~np.isfinite(nats))[0])} no finite likelihood")
    return nats


def _batches(cuts: list[tuple[int, Window]]) -> Iterator[tuple[list[tuple[int, Window]], int]]:
    """Runs of windows, longest first, with how many windows are through after each."""
    begin = 0
    while begin < len(cuts):
        longest = cuts[begin][1].stop - cuts[begin][1].start
        end = min(len(cuts), begin + max(1, _TOKENS_AT_ONCE // longest))
        yield cuts[begin:end], end
        begin = end
