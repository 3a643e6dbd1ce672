"""infer/draw: the next tokens of many requests from one matrix of logits, each under its own settings.

A request whose logits are not finite, whose structure allows nothing, or whose settings leave nothing to say gets a fault; the
others do not notice. Does not run the model and changes no request.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.core.errors import WhorlError
from whorl.infer.live import Live
from whorl.infer.request import Alternatives, Request, Sampling
from whorl.infer.sampler import Settings, choose, uniform

__all__ = ["Draw", "Place", "draw"]


class Place(NamedTuple):
    """A request, and guesses of what it says before the token that is wanted."""

    live: Live
    guessed: Sequence[int]


class Draw(NamedTuple):
    """A token, or why there is none."""

    id: int
    logprob: float  # nats, under the model itself
    top: Alternatives  # as many as the request wants
    fault: str


def draw(places: Sequence[Place], logits: Float[Tensor, "r v"]) -> list[Draw]:
    """The token of each place, a row of logits each."""
    totals = logits.logsumexp(dim=-1)
    faults = ["" if is_finite else "the model's logits are not finite" for is_finite in torch.isfinite(totals).tolist()]
    samplings = [place.live.request.sampling for place in places]
    ids = _chosen(places, _wanted(places, logits, faults))
    logprobs = logits.gather(1, ids[:, None]).squeeze(1) - totals
    tells = any(one.logprobs or one.among for one in samplings)
    tops = _tops(logits - totals[:, None], samplings) if tells else [()] * len(places)
    return [Draw(*one) for one in zip(ids.tolist(), logprobs.tolist(), tops, faults, strict=True)]


def _wanted(places: Sequence[Place], logits: Float[Tensor, "r v"], faults: list[str]) -> Float[Tensor, "r v"]:
    """Logits as each request wants them, all finite enough to choose from; what is wrong with a request goes to its fault."""
    rows = list(logits.unbind())
    for number, (live, guessed) in enumerate(places):
        if faults[number]:
            rows[number] = logits[number].nan_to_num()
            continue
        try:
            rows[number] = live.adjusted(logits[number], guessed=guessed)
        except WhorlError as fault:  # of this request's structure
            faults[number] = str(fault)
    if all(row.data_ptr() == logits[number].data_ptr() for number, row in enumerate(rows)):
        return logits
    wanted = torch.stack(rows)
    for number, peak in enumerate(wanted.amax(dim=-1).tolist()):
        if not math.isfinite(peak):
            faults[number] = faults[number] or _why_nothing(places[number].live.request, peak, vocab_size=wanted.shape[1])
            wanted[number] = logits[number].nan_to_num()
    return wanted


def _why_nothing(request: Request, peak: float, *, vocab_size: int) -> str:
    """What of its settings leaves a request nothing that could be said; `peak` is the largest of the logits they made."""
    sampling, guide = request.sampling, request.guide
    if peak != -math.inf:
        factors = f"repetition_penalty={sampling.repetition_penalty:g}, presence_penalty={sampling.presence_penalty:g}"
        return (
            f"{factors}, frequency_penalty={sampling.frequency_penalty:g} and logit_bias make the largest logit {peak}, want a "
            "finite one (take numbers of the size of logits): nothing can be drawn"
        )
    num_forbidden = sum(bias == -math.inf for bias in sampling.logit_bias.values())
    causes = [f"logit_bias, which forbids {num_forbidden} ids"] if num_forbidden else []
    allowed = None if guide is None else guide.allowed()
    causes += [f"the structure, which allows {int(allowed.sum())}"] if allowed is not None else []
    named = " and ".join(causes) or "penalties that are no longer finite"
    return f"{named}, leave none of {vocab_size} ids, want at least one (forbid fewer, or allow more): nothing can be said"


def _chosen(places: Sequence[Place], wanted: Float[Tensor, "r v"]) -> Tensor:
    samplings = [place.live.request.sampling for place in places]
    if all(sampling.is_greedy for sampling in samplings):
        return wanted.argmax(dim=-1)
    settings = Settings.of(samplings, vocab_size=wanted.shape[1], device=wanted.device)
    uniforms = [uniform(live.seed, len(live.ids) + len(guessed)) for live, guessed in places]
    return choose(wanted, settings, uniforms=torch.tensor(uniforms, dtype=torch.float64, device=wanted.device))


def _tops(logprobs: Float[Tensor, "r v"], samplings: Sequence[Sampling]) -> list[Alternatives]:
    widest = min(max(sampling.logprobs for sampling in samplings), logprobs.shape[1])
    best = logprobs.topk(widest, dim=-1)
    ids, values = best.indices.tolist(), best.values.tolist()
    likeliest = [tuple(zip(*row, strict=True)) for row in zip(ids, values, strict=True)]
    return [
        _among(logprobs[row], sampling.among) if sampling.among else likeliest[row][: sampling.logprobs]
        for row, sampling in enumerate(samplings)
    ]


def _among(logprobs: Float[Tensor, " v"], ids: tuple[int, ...]) -> Alternatives:
    return tuple(zip(ids, logprobs[list(ids)].tolist(), strict=True))
