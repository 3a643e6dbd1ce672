"""infer/beam: the likeliest answers instead of drawn ones: beam search over the engine's own blocks of keys and values.

What it means is what transformers means by `num_beams=width, do_sample=False`: hypotheses are ranked by the sum of their
log-probabilities; of the best `max(2, 1 + stop ids) * width` continuations those that stop among the first `width` are set
aside, scored sum / length ** length_penalty (their stop token counts), and the best `width` that go on are the next beams.
After `max_tokens` whatever is left is set aside too. (transformers fills up with impossible beams where the vocabulary is
smaller than twice the width; here there are fewer.) Does not draw, penalise or constrain, and knows nothing of blocks:
infer/branches does. https://arxiv.org/abs/1609.08144, section 7
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from whorl.core.errors import UsageError
from whorl.infer.admission import Admission
from whorl.infer.branches import Branches
from whorl.infer.engine import Engine
from whorl.infer.request import Request, Sampling

__all__ = ["Ahead", "Beam", "Hypothesis", "StopsWhen", "beam_search", "search"]

StopsWhen = Literal["full", "unlikely", "impossible"]


class Hypothesis(NamedTuple):
    """A finished answer. The stop token, when there is one, is the last of `ids`."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, of each id
    score: float  # their sum / length ** length_penalty
    finish: Literal["stop", "length"]


@dataclass(frozen=True)
class Beam:
    """What to search for. Raises UsageError for settings that mean nothing."""

    width: int  # hypotheses kept alive, and finished ones kept
    max_tokens: int
    n: int = 1  # answers wanted, the best first
    length_penalty: float = 1.0  # above 0 longer answers are preferred, below 0 shorter ones
    # transformers calls it early_stopping. full (True): `width` are finished. unlikely (False): and no beam would be among them
    # if it ended now. impossible ("never"): nor by its best possible end.
    stops_when: StopsWhen = "unlikely"

    def __post_init__(self) -> None:
        if self.width < 1 or self.max_tokens < 1 or not 1 <= self.n <= self.width or not np.isfinite(self.length_penalty):
            raise UsageError(f"{self}; want width and max_tokens of at least 1, n from 1 to width, a finite length_penalty")

    def score(self, logprob: float, length: int) -> float:
        """What hypotheses of a sum of log-probabilities and a length are ranked by."""
        return float(logprob / length**self.length_penalty)


@dataclass(frozen=True)
class _Path:
    """A hypothesis that goes on."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    total: float = 0.0


Ahead = Callable[[Sequence[tuple[int, ...]]], Float[Tensor, "n v"]]  # log-probabilities of what comes after each answer so far


@dataclass
class _Finished:
    """The best hypotheses that have ended."""

    beam: Beam
    kept: list[Hypothesis] = field(default_factory=list)  # best first

    def add(self, path: _Path, finish: Literal["stop", "length"]) -> None:
        score = self.beam.score(path.total, len(path.ids))
        self.kept.append(Hypothesis(path.ids, path.logprobs, score, finish))
        self.kept.sort(key=lambda one: -one.score)  # stable: of equals the earlier stays before the later
        del self.kept[self.beam.width :]

    def is_enough(self, paths: Sequence[_Path]) -> bool:
        """Whether the search may end, though these could go on."""
        beam = self.beam
        if len(self.kept) < beam.width:
            return not paths
        if beam.stops_when == "full" or not paths:
            return True
        length = len(paths[0].ids)
        if beam.stops_when == "impossible" and beam.length_penalty > 0:
            length = beam.max_tokens  # where a sum of logarithms, which only falls, weighs least
        return beam.score(paths[0].total, length) <= self.kept[-1].score


def beam_search(engine: Engine, prompt: Sequence[int], beam: Beam) -> list[Hypothesis]:
    """The `n` best answers to a prompt, best first, computed with the engine's weights in blocks of its pool.

    Runs to its end between two steps of the engine and gives every block back, whatever happens; the prompt's blocks stay to be
    found. Raises DataError for a prompt the engine would refuse or logits that are not finite, ResourceError when the pool has
    too few free blocks for so many beams.
    """
    cache_tokens = engine.pool.num_blocks * engine.pool.block_size
    admission = Admission(engine.model.config, cache_tokens=cache_tokens, spells=False)
    admission.check(Request(prompt, Sampling(beam.max_tokens)), "the prompt")
    branches = Branches(engine.forward, engine.pool, prompt, step_tokens=engine.setup.step_tokens)
    try:
        return search(branches.ahead, beam, stop_ids=engine.stop_ids)
    finally:
        branches.close()


def search(ahead: Ahead, beam: Beam, *, stop_ids: Collection[int]) -> list[Hypothesis]:
    """The `n` best hypotheses, best first; fewer only if fewer have any probability. `ahead` is first asked about ().

    All answers of one call have the same length. Ties go to the better beam, then to the lower id.
    """
    paths, finished = [_Path()], _Finished(beam)
    num_candidates = max(2, 1 + len(stop_ids)) * beam.width
    for length in range(1, beam.max_tokens + 1):
        logprobs = ahead([path.ids for path in paths]).double().cpu().numpy()  # n v
        going = []
        for rank, path in enumerate(_continued(paths, logprobs, num_candidates)):
            stops = path.ids[-1] in stop_ids
            if (stops or length == beam.max_tokens) and rank < beam.width:
                finished.add(path, "stop" if stops else "length")
            if not stops:
                going.append(path)
        paths = going[: beam.width]
        if finished.is_enough(paths):
            break
    return finished.kept[: beam.n]


def _continued(paths: Sequence[_Path], logprobs: Float[np.ndarray, "n v"], count: int) -> list[_Path]:
    """The best continuations by one token, best first; impossible ones never."""
    totals = np.array([[path.total] for path in paths]) + logprobs  # n v
    flat = totals.ravel()
    best = np.argpartition(-flat, count - 1)[:count] if count < flat.size else np.arange(flat.size)
    best = np.flatnonzero(flat >= flat[best].min())  # with all that tie with the last, so that ties are cut by rank
    best = best[np.argsort(-flat[best], kind="stable")][:count]
    chosen = []
    for place in best[np.isfinite(flat[best])].tolist():
        path, token = paths[place // totals.shape[1]], place % totals.shape[1]
        own = float(logprobs.ravel()[place])
        chosen.append(_Path((*path.ids, token), (*path.logprobs, own), float(flat[place])))
    return chosen
