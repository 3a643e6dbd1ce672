"""model/experts: a feed-forward chosen among many for every token: the mixture-of-experts layer.

Nothing is dropped: tokens are sorted by expert and each expert's run of rows is multiplied by its own matrices in one
grouped product, so cost follows the tokens and not the fullest expert. `looped` is the same written out, expert by expert;
the two are proved equal. Does not choose (model/router) and does not spread experts over devices.

Papers: https://arxiv.org/abs/1701.06538; dropless: https://arxiv.org/abs/2211.15841; shared experts:
https://arxiv.org/abs/2401.06066.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from whorl.model.config import ModelConfig
from whorl.model.layers import ACTIVATIONS, Linear, build_mlp, gate_of
from whorl.model.router import Router, Routing

__all__ = ["Experts", "Matrices", "build_feed_forward", "everywhere", "grouped", "looped"]

_ALIGNED = 16  # bytes: torch's grouped product takes only rows that are whole multiples


class Matrices(NamedTuple):
    """What experts multiply with, in the dtype of their input."""

    inner: Float[Tensor, "e w d"]  # gated: gates above ups, w is twice the width of an expert
    between: Callable[[Tensor], Tensor]  # (n w) -> (n i), i the width of an expert
    downs: Float[Tensor, "e d i"]


class _Plan(NamedTuple):
    """m = top * n rows sorted by expert: row i belongs to token `token[i]`; choice `slot` of token j is row `back[slot, j]`."""

    token: Int[Tensor, " m"]
    back: Int[Tensor, "top n"]
    ends: Int[Tensor, " e"]  # one past the last row of each expert


def grouped(x: Float[Tensor, "n d"], routing: Routing, matrices: Matrices) -> Float[Tensor, "n d"]:
    """The weighted sum of each token's experts, one product for all of them."""
    plan = _planned(routing.chosen, len(matrices.downs))
    spread: Any = _Spread.apply  # untyped in torch, as is the next
    gathered: Any = _Gathered.apply
    rows = spread(x, plan)  # m d
    inner = _products(rows, matrices.inner, plan.ends)
    out = _products(matrices.between(inner), matrices.downs, plan.ends)  # m d
    total: Tensor = gathered(out, routing.weights, plan)
    return total


def looped(x: Float[Tensor, "n d"], routing: Routing, matrices: Matrices) -> Float[Tensor, "n d"]:
    """The same by definition: every expert in turn takes its tokens. Waits for the device at each expert; for comparison."""
    total = torch.zeros_like(x, dtype=torch.float32)
    for expert, (inner, down) in enumerate(zip(matrices.inner, matrices.downs, strict=True)):
        token, slot = (routing.chosen == expert).nonzero(as_tuple=True)
        out = matrices.between(x[token] @ inner.T) @ down.T
        total = total.index_add(0, token, out * routing.weights[token, slot, None])
    return total.to(x.dtype)


def everywhere(x: Float[Tensor, "n d"], routing: Routing, matrices: Matrices) -> Float[Tensor, "n d"]:
    """The same with every expert given every token, chosen or not: shapes that no choice changes, so a token's result has the
    same bits whatever the tokens beside it choose."""
    total = torch.zeros_like(x, dtype=torch.float32)
    for expert, (inner, down) in enumerate(zip(matrices.inner, matrices.downs, strict=True)):
        weight = (routing.weights * (routing.chosen == expert)).sum(dim=-1, keepdim=True)
        total += matrices.between(x @ inner.T) @ down.T * weight
    return total.to(x.dtype)


class Experts(nn.Module):
    """sum over chosen experts of weight * down(act(gate x) * up x), plus a shared one that every token uses.

    Matrices are stacked, (e, out, in): `gates` (None without gating), `ups`, `downs`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inner, outer = (config.experts, config.expert_width, config.width), (config.experts, config.width, config.expert_width)
        self.router = Router(config)
        self.gates = nn.Parameter(torch.zeros(inner)) if config.gated else None
        self.ups = nn.Parameter(torch.zeros(inner))
        self.downs = nn.Parameter(torch.zeros(outer))
        narrow = config.model_copy(update={"mlp_width": config.shared_width, "mlp_bias": False})
        self.shared = build_mlp(narrow) if config.shared_width else None
        self.shared_gate = Linear(config.width, 1) if config.shared_gate else None
        self.mixed: Callable[[Tensor, Routing], Tensor] | None = None  # model/packed puts its own product of the experts here
        self.between: Callable[[Tensor], Tensor] = (gate_of if config.gated else ACTIVATIONS.__getitem__)(config.activation)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What the block adds to the residual stream."""
        rows = x.flatten(0, -2)
        mixed = self._grouped if self.mixed is None else self.mixed
        out = mixed(rows, self.router(rows)).view_as(x)
        return out if self.shared is None else out + self._shared(x, self.shared)

    def fix_shapes(self) -> None:
        """From now on give every token to every expert; see `everywhere`. What was packed stays as it is."""
        if self.mixed is None:
            self.mixed = self._everywhere

    def _everywhere(self, x: Float[Tensor, "n d"], routing: Routing) -> Float[Tensor, "n d"]:
        return everywhere(x, routing, self._matrices(x.dtype))

    def _shared(self, x: Float[Tensor, "b t d"], expert: nn.Module) -> Float[Tensor, "b t d"]:
        out: Tensor = expert(x)
        return out if self.shared_gate is None else out * self.shared_gate(x).sigmoid()

    def _grouped(self, x: Float[Tensor, "n d"], routing: Routing) -> Float[Tensor, "n d"]:
        return grouped(x, routing, self._matrices(x.dtype))

    def _matrices(self, dtype: torch.dtype) -> Matrices:
        # Gates and ups in one product, as in model/attention.
        inner = self.ups.to(dtype) if self.gates is None else torch.cat([self.gates.to(dtype), self.ups.to(dtype)], dim=1)
        return Matrices(inner, self.between, self.downs.to(dtype))


def build_feed_forward(config: ModelConfig, layer: int) -> nn.Module:
    """The feed-forward of a layer: one for all tokens, or one chosen among experts."""
    return Experts(config) if config.has_experts(layer) else build_mlp(config)


def _planned(chosen: Int[Tensor, "n top"], num_experts: int) -> _Plan:
    """Choices sorted by expert; a stable sort, so that equal inputs give equal sums."""
    by_slot = chosen.T.flatten()  # slot after slot
    order = by_slot.argsort(stable=True)
    back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    counts = torch.zeros(num_experts, dtype=torch.int64, device=order.device).scatter_add_(0, by_slot, torch.ones_like(by_slot))
    return _Plan(order % len(chosen), back.view(-1, len(chosen)), counts.cumsum(0).int())


def _products(rows: Float[Tensor, "m i"], stack: Float[Tensor, "e o i"], ends: Int[Tensor, " e"]) -> Float[Tensor, "m o"]:
    """Each expert's rows times its own matrix."""
    if all(size * rows.element_size() % _ALIGNED == 0 for size in stack.shape[1:]):
        return functional.grouped_mm(rows, stack.mT, offs=ends)
    # One product after the other, as fast on a CPU. On a GPU it waits for the device: choose widths that are multiples of 8.
    sizes = ends.diff(prepend=ends.new_zeros(1)).tolist()
    return torch.cat([part @ matrix.T for part, matrix in zip(torch.split(rows, sizes), stack.unbind(), strict=True)])


class _Spread(torch.autograd.Function):
    """A row for every choice, sorted by expert."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: _Plan) -> Tensor:  # noqa: ANN401 - autograd's context has no type
        ctx.save_for_backward(plan.back)
        return x.index_select(0, plan.token)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (back,) = ctx.saved_tensors
        return _summed(grad, back, None), None


class _Gathered(torch.autograd.Function):
    """The weighted sum of each token's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, plan: _Plan) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(rows, weights, plan.token, plan.back)
        return _summed(rows, plan.back, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        rows, weights, token, back = ctx.saved_tensors
        spread = grad.index_select(0, token)  # m d
        by_row = torch.empty_like(weights).view(-1).scatter_(0, back.flatten(), weights.T.flatten())  # m
        slope = (spread * rows).sum(dim=-1, dtype=torch.float32)  # m
        return spread * by_row.unsqueeze(-1).to(rows.dtype), slope[back].T, None


def _summed(rows: Float[Tensor, "m d"], back: Int[Tensor, "top n"], weights: Float[Tensor, "n top"] | None) -> Tensor:
    """The (weighted) sum of each token's rows, in float32 until it is whole; without atomics, so equal bits every time."""
    total = torch.zeros(back.shape[1], rows.shape[1], dtype=torch.float32, device=rows.device)  # n d
    for slot, places in enumerate(back):
        part = rows.index_select(0, places)
        total += part if weights is None else part * weights[:, slot, None]
    return total.to(rows.dtype)
