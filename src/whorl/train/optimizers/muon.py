"""train/optimizers/muon: momentum, orthogonalised by Newton-Schulz, for hidden matrices; AdamW for everything else.

Matrices of equal shape are orthogonalised together (one batched product each). Treats a weight as one map, so projections
fused into one weight would be orthogonalised as one. Does not spread the work over devices. Algorithm, coefficients and the
scale of the rate, `max(1, rows / cols) ** 0.5`: https://kellerjordan.github.io/posts/muon; equal to
`torch.optim.Muon(adjust_lr_fn="original")` by test.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from whorl.train.adam import Adam, Group, check_state, gradient_of
from whorl.train.optimizers import Optimizer, Stepper
from whorl.train.weights import Weight

__all__ = ["Muon", "orthogonalised"]

# Steepest at 0 among quintics that keep singular values within about 0.7 to 1.2 after five rounds.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_SMALLEST_NORM = 1e-7
_MOMENTUM = ".momentum"


class Muon(Optimizer):
    """`rate` moves matrices, `adam_rate` embeddings, head, norms and biases; both are peaks."""

    rate: float = Field(default=0.03, gt=0)  # in units of the update's singular values, hence of no width
    adam_rate: float = Field(default=6e-3, gt=0)
    momentum: float = Field(default=0.95, ge=0, lt=1)  # Nesterov
    decay: float = Field(default=0.0, ge=0)  # matrices only, per unit of learning rate
    betas: tuple[float, float] = (0.8, 0.95)
    eps: float = Field(default=1e-10, gt=0)  # small, because embedding gradients of rare tokens are

    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """See Optimizer.build. Newton-Schulz runs in `dtype`; momentum and weights stay float32."""
        matrices = tuple(w for w in weights if w.role == "matrix")
        others = tuple(w for w in weights if w.role != "matrix")
        adam = Adam((Group("adam", others, self.adam_rate, 0.0),), betas=self.betas, eps=self.eps)
        return _MuonStepper(self, matrices, adam, dtype)


class _MuonStepper:
    """See Stepper. Matrices are stacked by shape, each lying on its long side; so is their momentum."""

    def __init__(self, config: Muon, matrices: Sequence[Weight], adam: Adam, dtype: torch.dtype) -> None:
        self._config = config
        self._adam = adam
        self._dtype = dtype
        stacks: dict[torch.Size, list[Weight]] = defaultdict(list)
        for weight in matrices:
            stacks[_lying(weight.tensor).shape].append(weight)
        self._stacks = [_Stack(tuple(group), torch.zeros_like(_stacked(group))) for group in stacks.values()]

    @property
    def rates(self) -> Mapping[str, float]:
        return {"muon": self._config.rate, **self._adam.rates}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        rate = self._config.rate * factor
        for stack in self._stacks:
            gradient = torch.stack([_lying(gradient_of(weight)) for weight in stack.weights])
            stack.momentum.lerp_(gradient, 1 - self._config.momentum)
            updates = orthogonalised(gradient.lerp_(stack.momentum, self._config.momentum).to(self._dtype))
            for weight, update in zip(stack.weights, updates.unbind(), strict=True):
                if self._config.decay:
                    weight.tensor.mul_(1 - rate * self._config.decay)
                _lying(weight.tensor).add_(update, alpha=-rate * _scale(weight))
        self._adam.step(factor)

    def state(self) -> dict[str, Tensor]:
        return {**self._momenta(), **self._adam.state()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        mine = self._momenta()
        saved = {name: tensor for name, tensor in state.items() if name.endswith(_MOMENTUM)}
        check_state(saved, mine)
        for name, momentum in mine.items():
            momentum.copy_(saved[name])
        self._adam.load({name: tensor for name, tensor in state.items() if name not in saved})

    def _momenta(self) -> dict[str, Tensor]:
        return {
            weight.name + _MOMENTUM: momentum
            for stack in self._stacks
            for weight, momentum in zip(stack.weights, stack.momentum.unbind(), strict=True)
        }


class _Stack(NamedTuple):
    weights: tuple[Weight, ...]
    momentum: Float[Tensor, "n r c"]


def orthogonalised(stack: Float[Tensor, "n r c"]) -> Float[Tensor, "n r c"]:
    """Each matrix with its singular values pushed to about 1 (0.7 to 1.2); wide or square ones (r <= c) cost least."""
    a, b, c = _QUINTIC
    x: Tensor = stack / stack.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST_NORM)
    for _ in range(_ROUNDS):
        gram = x @ x.mT  # n r r
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, poly, x, beta=a)
    return x


def _lying(matrix: Float[Tensor, "r c"]) -> Tensor:
    """The matrix, or its transpose, whichever has no more rows than columns."""
    rows, columns = matrix.shape
    lying: Tensor = matrix.mT if rows > columns else matrix
    return lying


def _stacked(weights: Sequence[Weight]) -> Tensor:
    return torch.stack([_lying(weight.tensor.detach()) for weight in weights])


def _scale(weight: Weight) -> float:
    """Factor on the rate: `max(1, rows / cols) ** 0.5`, so that a tall matrix moves its many outputs as far."""
    rows, columns = weight.tensor.shape
    return math.sqrt(max(1.0, rows / columns))
