"""train/optimizers/muon: momentum, orthogonalised by Newton-Schulz, for hidden matrices; AdamW for everything else.

Matrices of equal shape are orthogonalised together (one batched product each); a stack of matrices (experts) one by one within
it. Treats a weight as one map, so projections fused into one weight would be orthogonalised as one. Does not spread the work
over devices. Algorithm and coefficients: https://kellerjordan.github.io/posts/muon; equal to `torch.optim.Muon` with either
scale by test. Rows evened out (`row_beta`): NorMuon, https://arxiv.org/abs/2510.05491.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from whorl.train.adam import adam
from whorl.train.group import Group, Room, careful
from whorl.train.moments import check_state
from whorl.train.optimizers import Optimizer, Stepper
from whorl.train.schedules import Moment
from whorl.train.weights import Role, Weight, gradient_of

__all__ = ["Muon", "orthogonalised"]

# Steepest at 0 among quintics that keep singular values within about 0.7 to 1.2 after five rounds.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_SMALLEST_NORM = 1e-7
_SMALLEST_ROW = 1e-10
_MOMENTUM = ".momentum"
_ROW_SQUARES = ".row_squares"
_MOST_AT_ONCE = 2**24  # entries orthogonalised in one batch: enough to keep a device busy, few enough to find room


class Muon(Optimizer):
    """`rate` moves matrices, `adam_rate` embeddings, head, norms and biases; both are peaks."""

    rate: float = Field(default=0.03, gt=0)  # in units of the update's singular values, hence of no width
    adam_rate: float = Field(default=6e-3, gt=0)
    momentum: float = Field(default=0.95, ge=0, lt=1)  # Nesterov
    # original: sqrt(max(1, rows / cols)); match_rms_adamw: 0.2 sqrt(max(rows, cols)), the size of Adam's updates, so that
    # AdamW's rate and decay can be kept: https://arxiv.org/abs/2502.16982
    scale: Literal["original", "match_rms_adamw"] = "original"
    row_beta: float | None = Field(default=None, ge=0, lt=1)  # of NorMuon, 0.95 there; None: rows stay as they come out
    decayed: tuple[Role, ...] = ("matrix",)
    betas: tuple[float, float] = (0.8, 0.95)
    eps: float = Field(default=1e-10, gt=0)  # small, because embedding gradients of rare tokens are

    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """See Optimizer.build. Newton-Schulz runs in `dtype`; momentum and weights stay float32."""
        matrices = [weight for weight in weights if weight.role == "matrix"]
        others = [weight for weight in weights if weight.role != "matrix"]
        groups = self.groups("muon", matrices, rate=self.rate)
        rest = adam(self.groups("adam", others, rate=self.adam_rate), betas=self.betas, eps=self.eps)
        return _MuonStepper(self, groups, rest, dtype)


class _Stack(NamedTuple):
    """Matrices of one shape, each lying on its long side."""

    weights: tuple[Weight, ...]
    momentum: Float[Tensor, "n r c"]

    def split(self, stacked: Float[Tensor, "n r c"]) -> Iterator[tuple[Weight, Tensor]]:
        """Each weight with its part of something stacked: (r c), or (e r c) for a stack of matrices."""
        first = 0
        for weight in self.weights:
            count = len(weight.tensor) if weight.tensor.ndim == 3 else 1
            part = stacked[first : first + count]
            yield weight, part if weight.tensor.ndim == 3 else part[0]
            first += count


class _MuonStepper:
    """See Stepper. Momentum is stacked as the matrices are."""

    def __init__(self, config: Muon, groups: Sequence[Group], adam: Stepper, dtype: torch.dtype) -> None:
        self._config = config
        self._group = groups[0] if groups else None
        self._adam = adam
        self._dtype = dtype
        self._room = Room()
        by_shape: dict[torch.Size, list[Weight]] = defaultdict(list)
        for weight in self._group.weights if self._group else ():
            by_shape[_lying(weight.tensor).shape[-2:]].append(weight)
        self._stacks = [
            _Stack(tuple(alike), torch.zeros_like(_stacked([weight.tensor.detach() for weight in alike])))
            for alike in by_shape.values()
        ]
        self._row_squares = {
            weight.name: torch.zeros_like(weight.tensor.detach()[..., :1])
            for stack in self._stacks
            for weight in stack.weights
            if config.row_beta is not None
        }

    @property
    def rates(self) -> Mapping[str, float]:
        return {**({self._group.label: self._group.rate} if self._group else {}), **self._adam.rates}

    @torch.no_grad()
    def step(self, factor: float, moment: Moment | None = None, *, shrink: Float[Tensor, ""] | None = None) -> None:
        for stack in self._stacks:
            assert self._group is not None, "a stack is made of the group's weights"
            move = self._group.move(factor, moment)
            for weight, update in stack.split(self._updates(stack, shrink)):
                standing = _standing(update, weight.tensor)
                if self._config.row_beta is not None:
                    standing = self._evened(weight, standing, self._config.row_beta)
                if self._group.cautious:
                    standing = standing.to(torch.float32, copy=True)
                    careful(standing, gradient_of(weight), self._room)
                move._replace(rate=move.rate * self._scale(weight.tensor)).apply(weight.tensor, standing, self._room)
        self._adam.step(factor, moment, shrink=shrink)

    def state(self) -> dict[str, Tensor]:
        squares = {name + _ROW_SQUARES: tensor for name, tensor in self._row_squares.items()}
        return {**self._momenta(), **squares, **self._adam.state()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        mine = {name: tensor for name, tensor in self.state().items() if name.endswith((_MOMENTUM, _ROW_SQUARES))}
        saved = {name: tensor for name, tensor in state.items() if name.endswith((_MOMENTUM, _ROW_SQUARES))}
        check_state(saved, mine)
        for name, tensor in mine.items():
            tensor.copy_(saved[name])
        self._adam.load({name: tensor for name, tensor in state.items() if name not in saved})

    def _momenta(self) -> dict[str, Tensor]:
        return {weight.name + _MOMENTUM: part for stack in self._stacks for weight, part in stack.split(stack.momentum)}

    def _updates(self, stack: _Stack, shrink: Float[Tensor, ""] | None) -> Float[Tensor, "n r c"]:
        """Fold the gradients, shrunk, into the momentum; the directions, in the compute dtype."""
        gradients = [gradient_of(weight) for weight in stack.weights]
        if shrink is not None:
            torch._foreach_mul_(gradients, shrink)
        gradient = _stacked(gradients)
        stack.momentum.lerp_(gradient, 1 - self._config.momentum)
        ahead = gradient.lerp_(stack.momentum, self._config.momentum).to(self._dtype)
        at_once = max(1, _MOST_AT_ONCE // ahead[0].numel())
        parts = [ahead[first : first + at_once] for first in range(0, len(ahead), at_once)]
        return orthogonalised(ahead) if len(parts) == 1 else torch.cat([orthogonalised(part) for part in parts])

    def _evened(self, weight: Weight, update: Tensor, beta: float) -> Tensor:
        """The update with each row divided by its running root mean square, and as long as before."""
        update = update.float()
        squares = self._row_squares[weight.name]
        squares.lerp_(update.square().mean(dim=-1, keepdim=True), 1 - beta)
        even = update / squares.sqrt().add(_SMALLEST_ROW)
        length = update.norm(dim=(-2, -1), keepdim=True)
        grown: Tensor = even.norm(dim=(-2, -1), keepdim=True)
        return even.mul_(length / grown.clamp(min=_SMALLEST_ROW))

    def _scale(self, tensor: Tensor) -> float:
        """Factor on the rate for the shape of a matrix."""
        rows, columns = tensor.shape[-2:]
        if self._config.scale == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / columns))  # a tall matrix moves its many outputs as far


def orthogonalised(stack: Float[Tensor, "n r c"]) -> Float[Tensor, "n r c"]:
    """Each matrix with its singular values pushed to about 1 (0.7 to 1.2); wide or square ones (r <= c) cost least."""
    a, b, c = _QUINTIC
    x: Tensor = stack / stack.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST_NORM)
    for _ in range(_ROUNDS):
        gram = x @ x.mT  # n r r
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, poly, x, beta=a)
    return x


def _lying(matrix: Tensor) -> Tensor:
    """The matrix (or each of a stack), or its transpose, whichever has no more rows than columns."""
    rows, columns = matrix.shape[-2:]
    lying: Tensor = matrix.mT if rows > columns else matrix
    return lying


def _standing(lying: Tensor, like: Tensor) -> Tensor:
    """What `_lying` made of a matrix of the shape of `like`, turned back."""
    rows, columns = like.shape[-2:]
    standing: Tensor = lying.mT if rows > columns else lying
    return standing


def _stacked(tensors: Sequence[Tensor]) -> Float[Tensor, "n r c"]:
    """All matrices of tensors (r c) and (e r c), lying, in order."""
    lying = [_lying(tensor) for tensor in tensors]
    return torch.cat([each if each.ndim == 3 else each.unsqueeze(0) for each in lying])
