"""infer/sampler: the next token of each row from its logits: the most likely one, or a draw.

A row's draw depends on its own logits and its own uniform number only, never on the rows beside it. Does not run the model
and holds no generator.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.core.errors import UsageError

__all__ = ["Sampling", "choose"]


@dataclass(frozen=True)
class Sampling:
    """How answers are decoded. Raises UsageError for settings that mean nothing."""

    max_tokens: int
    temperature: float = 0.0  # 0: greedy
    top_k: int | None = None  # draw from this many most likely tokens
    top_p: float = 1.0  # draw from the fewest tokens that hold this much probability, https://arxiv.org/abs/1904.09751
    seed: int = 0  # of the draws of all requests that bring no seed of their own

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={value}; want {want}"
            for name, value, want, is_right in (
                ("max_tokens", self.max_tokens, "at least 1", self.max_tokens >= 1),
                ("temperature", self.temperature, "0 (greedy) or more", self.temperature >= 0),
                ("top_k", self.top_k, "at least 1, or None", self.top_k is None or self.top_k >= 1),
                ("top_p", self.top_p, "more than 0, at most 1", 0 < self.top_p <= 1),
            )
            if not is_right
        ]
        if wrong:
            raise UsageError(f"sampling: {'; '.join(wrong)}")

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature == 0


def choose(logits: Float[Tensor, "r v"], sampling: Sampling, *, uniforms: Float[Tensor, " r"]) -> Int[Tensor, " r"]:
    """The next id of each row. `logits` are finite and float32, `uniforms` lie in [0, 1); ties fall to the lower id.

    A drawn row lines its tokens up, each as wide as its probability, and takes the one its uniform number falls on.
    """
    if sampling.is_greedy:
        return logits.argmax(dim=-1)
    scaled = logits / sampling.temperature
    if sampling.top_k is None and sampling.top_p == 1:
        heaps = _heaps(scaled)
        return _fallen_on(heaps, uniforms, last=torch.full_like(heaps[:, :1], heaps.shape[1] - 1, dtype=torch.int64))
    ordered, ids = scaled.sort(dim=-1, descending=True, stable=True)
    heaps = _heaps(ordered)
    return ids.gather(1, _fallen_on(heaps, uniforms, last=_last(heaps, sampling)).unsqueeze(1)).squeeze(1)


def _heaps(scaled: Float[Tensor, "r v"]) -> Float[Tensor, "r v"]:
    """Probability up to and including each token; float64, because 150,000 float32 additions lose what rare tokens weigh."""
    return scaled.double().softmax(dim=-1).cumsum(dim=-1)


def _fallen_on(heaps: Float[Tensor, "r v"], uniforms: Float[Tensor, " r"], *, last: Int[Tensor, "r 1"]) -> Int[Tensor, " r"]:
    """The place each uniform number falls on when the tokens up to `last` share all probability."""
    height = uniforms.double().unsqueeze(1) * heaps.gather(1, last)
    return torch.minimum(torch.searchsorted(heaps, height, right=True), last).squeeze(1)


def _last(heaps: Float[Tensor, "r v"], sampling: Sampling) -> Int[Tensor, "r 1"]:
    """The place of the last token that may be drawn. top_k cuts first; top_p then counts what top_k left."""
    end = min(sampling.top_k or heaps.shape[1], heaps.shape[1]) - 1
    enough = torch.searchsorted(heaps, heaps[:, end : end + 1] * sampling.top_p)
    return enough.clamp(max=end)
