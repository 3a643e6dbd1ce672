"""infer/sampler: the next token of each row from its logits: the most likely one, or a draw.

A row's draw depends on its own logits, its own past and its own uniform number only, never on the rows beside it; the uniform
number is a hash of the request's seed and of how many tokens it has said. Does not run the model and holds no generator.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.infer.request import Sampling

__all__ = ["Past", "Settings", "adjust", "choose", "uniform"]

COLDEST = 1e-30  # below it logits / temperature may not fit float32, and the likeliest token has all the probability anyway


class Past(NamedTuple):
    """What a request has seen and said, as penalties need it."""

    seen: frozenset[int] | set[int]  # ids of the prompt
    said: Counter[int]


class Settings(NamedTuple):
    """The settings of some rows as columns, so that rows that want different things are drawn together."""

    temperature: Float[Tensor, "r 1"]  # 0: greedy
    top_k: Int[Tensor, "r 1"]
    top_p: Float[Tensor, "r 1"]
    min_p: Float[Tensor, "r 1"]

    @classmethod
    def of(cls, samplings: Sequence[Sampling], *, vocab_size: int, device: torch.device | None = None) -> "Settings":
        """One row for each sampling, where the logits will be; default: on the CPU."""
        columns = (
            torch.tensor([[one.temperature] for one in samplings], dtype=torch.float32),
            torch.tensor([[min(one.top_k or vocab_size, vocab_size)] for one in samplings]),
            torch.tensor([[one.top_p] for one in samplings], dtype=torch.float64),
            torch.tensor([[one.min_p] for one in samplings], dtype=torch.float64),
        )
        return cls(*(column.to(device) for column in columns))


def uniform(seed: int, count: int) -> float:
    """A number in [0, 1) for the token after `count` said ones: splitmix64 of both, https://doi.org/10.1145/2660193.2660195"""
    mask = (1 << 64) - 1
    mixed = (seed + (count + 1) * 0x9E3779B97F4A7C15) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return float((mixed ^ (mixed >> 31)) >> 11) * 2.0**-53


def adjust(logits: Float[Tensor, " v"], sampling: Sampling, past: Past) -> None:
    """Apply penalties and biases to one row, in place."""
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(past.seen) | set(past.said)), dtype=torch.int64, device=logits.device)
        chosen = logits[seen]
        penalty = sampling.repetition_penalty
        logits[seen] = torch.where(chosen > 0, chosen / penalty, chosen * penalty)
    if past.said and (sampling.presence_penalty or sampling.frequency_penalty):
        said = torch.tensor(list(past.said), dtype=torch.int64, device=logits.device)
        times = torch.tensor(list(past.said.values()), dtype=logits.dtype, device=logits.device)
        logits[said] -= sampling.presence_penalty + sampling.frequency_penalty * times
    for token, bias in sampling.logit_bias.items():
        logits[token] += bias


def choose(logits: Float[Tensor, "r v"], settings: Settings, *, uniforms: Float[Tensor, " r"]) -> Int[Tensor, " r"]:
    """The next id of each row. `logits` are float32 and hold a finite one, `uniforms` lie in [0, 1); ties fall to the lower id.

    A drawn row lines its tokens up, each as wide as its probability, and takes the one its uniform number falls on.
    """
    chosen = logits.argmax(dim=-1)
    is_hot = settings.temperature[:, 0] > COLDEST
    is_cut = (settings.top_k < logits.shape[1]) | (settings.top_p < 1) | (settings.min_p > 0)
    # What others want must not change in which order a row's tokens are lined up, so the two kinds are never mixed.
    for draw, rows in ((_cut, is_hot & is_cut[:, 0]), (_uncut, is_hot & ~is_cut[:, 0])):
        if rows.any():
            own = Settings(*(column[rows] for column in settings))
            chosen[rows] = draw(logits[rows] / own.temperature, own, uniforms=uniforms[rows])
    return chosen


def _uncut(scaled: Float[Tensor, "r v"], settings: Settings, *, uniforms: Float[Tensor, " r"]) -> Int[Tensor, " r"]:
    """Tokens in order of id."""
    del settings
    heaps = _heaps(scaled)
    return _fallen_on(heaps, uniforms, last=torch.full_like(heaps[:, :1], heaps.shape[1] - 1, dtype=torch.int64))


def _cut(scaled: Float[Tensor, "r v"], settings: Settings, *, uniforms: Float[Tensor, " r"]) -> Int[Tensor, " r"]:
    """Tokens in order of likelihood, up to the last that may be drawn."""
    ordered, ids = scaled.sort(dim=-1, descending=True, stable=True)
    heaps = _heaps(ordered)
    return ids.gather(1, _fallen_on(heaps, uniforms, last=_last(heaps, settings)).unsqueeze(1)).squeeze(1)


def _heaps(scaled: Float[Tensor, "r v"]) -> Float[Tensor, "r v"]:
    """Probability up to and including each token; float64, because 150,000 float32 additions lose what rare tokens weigh."""
    return scaled.double().softmax(dim=-1).cumsum(dim=-1)


def _fallen_on(heaps: Float[Tensor, "r v"], uniforms: Float[Tensor, " r"], *, last: Int[Tensor, "r 1"]) -> Int[Tensor, " r"]:
    """The place each uniform number falls on when the tokens up to `last` share all probability."""
    height = uniforms.double().unsqueeze(1) * heaps.gather(1, last)
    return torch.minimum(torch.searchsorted(heaps, height, right=True), last).squeeze(1)


def _last(heaps: Float[Tensor, "r v"], settings: Settings) -> Int[Tensor, "r 1"]:
    """The place of the last token that may be drawn. top_k cuts first; top_p then counts what top_k left; min_p cuts last."""
    end = settings.top_k - 1
    end = torch.minimum(torch.searchsorted(heaps, heaps.gather(1, end) * settings.top_p), end)
    likely = heaps[:, :1] * settings.min_p  # the first heap is the likeliest token
    shares = torch.cat([heaps[:, :1], heaps.diff(dim=1)], dim=1)  # falling
    enough = (shares >= likely).sum(dim=1, keepdim=True) - 1
    return torch.minimum(end, enough)
