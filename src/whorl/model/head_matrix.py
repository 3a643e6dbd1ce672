"""model/head_matrix: the output matrix as the loss wants it: logits of some rows at a time, and both gradients of them.

In panels where model/products can do it, else as a matrix in the compute dtype. Either is made once for all rows of a step.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.model.products import add_gradient_, can_multiply, multiplied, panels_across, panels_along
from whorl.model.team import can_run

__all__ = ["HeadMatrix", "head_matrix"]


@runtime_checkable  # pads of the loss are checked at run time in tests
class HeadMatrix(Protocol):
    """W (v d). Results of both products go to `out`."""

    def logits(self, hidden: Float[Tensor, "n d"], *, out: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
        """hidden W^T (+ bias)."""
        ...

    def gathered(self, slopes: Float[Tensor, "n v"], *, out: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """slopes W."""
        ...

    def add_gradient(
        self, total: Float[Tensor, "v d"] | None, slopes: Float[Tensor, "n v"], hidden: Float[Tensor, "n d"]
    ) -> Float[Tensor, "v d"]:
        """slopes^T hidden, added in float32 to the total there is, in place; None: there is none yet."""
        ...


def head_matrix(weight: Float[Tensor, "v d"], bias: Float[Tensor, " v"] | None, dtype: torch.dtype) -> HeadMatrix:
    """The matrix for hidden states of this dtype."""
    is_even = weight.shape[0] % 2 == 0
    if bias is None and is_even and can_multiply(weight) and can_run(torch.empty(0, dtype=dtype)):
        return _Panels(weight)
    return _Plain(weight.to(dtype), None if bias is None else bias.to(dtype))


class _Plain:
    def __init__(self, matrix: Tensor, bias: Tensor | None) -> None:
        self._matrix, self._bias = matrix, bias

    def logits(self, hidden: Tensor, *, out: Tensor) -> Tensor:
        if self._bias is None:
            return torch.mm(hidden, self._matrix.T, out=out)
        return torch.addmm(self._bias, hidden, self._matrix.T, out=out)

    def gathered(self, slopes: Tensor, *, out: Tensor) -> Tensor:
        return torch.mm(slopes, self._matrix, out=out)

    def add_gradient(self, total: Tensor | None, slopes: Tensor, hidden: Tensor) -> Tensor:
        found = slopes.T @ hidden
        return found.float() if total is None else total.add_(found)


class _Panels:
    def __init__(self, weight: Tensor) -> None:
        self._shape = weight.shape
        self._across = panels_across((weight,))
        self._weight = weight
        self._along: Tensor | None = None  # made when a gradient is first asked for

    def logits(self, hidden: Tensor, *, out: Tensor) -> Tensor:
        return multiplied(hidden.contiguous(), self._across, columns=self._shape[0], out=out)

    def gathered(self, slopes: Tensor, *, out: Tensor) -> Tensor:
        if self._along is None:
            self._along = panels_along((self._weight,))
        return multiplied(slopes, self._along, columns=self._shape[1], out=out)

    def add_gradient(self, total: Tensor | None, slopes: Tensor, hidden: Tensor) -> Tensor:
        out = hidden.new_empty(self._shape, dtype=torch.float32) if total is None else total
        return add_gradient_(out, slopes, hidden.contiguous(), is_fresh=total is None)
