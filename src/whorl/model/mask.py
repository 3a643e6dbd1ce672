"""model/mask: which keys a query may look at, said once per batch and understood by every attention backend.

Does not build additive biases; each backend in model/attend turns visibility into what its kernel wants.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

__all__ = ["PADDING", "MaskSpec", "Scene", "visible"]

PADDING = -1  # document number of positions that hold no text


@dataclass(frozen=True)
class MaskSpec:
    """Rules of sight. A query always sees itself, so no row of attention is ever empty."""

    causal: bool | None = None  # never look ahead; None: as the model was built
    window: int | None = None  # look back at this many positions, the own one included; None: all
    # Document number of each position; queries see only their own document, whose positions stand side by side.
    docs: Int[Tensor, "b t"] | None = None


@dataclass(frozen=True)
class Scene:
    """The queries and keys of one forward pass under one rule: `past` keys stand before the queries, the rest beside them."""

    rules: MaskSpec
    num_queries: int
    device: torch.device
    past: int = 0
    past_docs: Int[Tensor, "b s"] | None = None  # goes with rules.docs

    @property
    def num_keys(self) -> int:
        """Keys before the queries and beside them."""
        return self.past + self.num_queries

    @property
    def key_docs(self) -> Int[Tensor, "b s"] | None:
        """Document number of each key."""
        docs = self.rules.docs
        return docs if docs is None or self.past_docs is None else torch.cat([self.past_docs, docs], dim=1)

    @property
    def seen(self) -> Bool[Tensor, "..."]:
        """Whether query (row, t) sees key (row, s), as `visible` gives it; made anew at every call."""
        return visible(self.rules, self.num_queries, device=self.device, past=self.past, past_docs=self.past_docs)


def visible(
    spec: MaskSpec,
    num_queries: int,
    *,
    device: torch.device,
    past: int = 0,
    past_docs: Int[Tensor, "b s"] | None = None,
) -> Bool[Tensor, "..."]:
    """Whether query (row, t) sees key (row, s): shape (b or 1, t, s) with s = past + t.

    `past` keys stand before the queries (a cache); `past_docs` are their documents and go with `spec.docs`.
    """
    assert spec.causal is not None, "who knows the model says whether it looks ahead"
    columns = torch.arange(past + num_queries, device=device)
    behind = columns[past:, None] - columns[None, :]  # t s: how far the key lies behind the query
    seen = torch.ones_like(behind, dtype=torch.bool)
    if spec.causal:
        seen &= behind >= 0
    if spec.window is not None:
        seen &= behind.abs() < spec.window
    if spec.docs is None:
        return seen.unsqueeze(0)
    keys = spec.docs if past_docs is None else torch.cat([past_docs, spec.docs], dim=1)
    return seen & (spec.docs[:, :, None] == keys[:, None, :])
