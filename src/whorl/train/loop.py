"""train/loop: the loop: rows in, one optimizer step, a word on what happened; there is no other.

Loss = sum of the objective / number of targets of the whole step, so micro-batches change nothing. Branches on no names: what
to train, on what and how was decided by who built the pieces. What a step draws (dropout) comes from a seed of its data, so no
step depends on how many draws were made before it. Does not log, watch, save or stop: that is for who iterates.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from whorl.core.errors import DataError
from whorl.model.router import Router, balanced, side_loss
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.tokens.workers import ahead
from whorl.train.data import to_rows
from whorl.train.guard import Sentry, Verdict
from whorl.train.objectives import Objective
from whorl.train.optimizers import Stepper
from whorl.train.scaler import LossScale
from whorl.train.schedules import Moment

__all__ = ["Finding", "Pieces", "Step", "check_finite", "train"]

_TINY = 1e-6  # added to a norm before dividing by it


@dataclass(frozen=True)
class Pieces:
    """What a run is made of."""

    model: Transformer
    objective: Objective
    stepper: Stepper
    factor: Callable[[int], float]  # step -> fraction of the peak learning rates
    moment_of: Callable[[int], Moment]  # step -> where in the run it is
    batch_of: Callable[[int], Batch]  # step -> rows; pure
    num_steps: int
    micro_rows: int  # rows that go through the model at once
    clip: float  # largest gradient norm; beyond it gradients are scaled down
    seed_of: Callable[[int], int] = lambda step: step  # step -> seed of what the step draws
    sentry: Sentry | None = None  # looks at every step before the optimizer does
    scaler: LossScale = field(default_factory=lambda: LossScale(is_dynamic=False))


class Finding(NamedTuple):
    """What was thought of a step before the optimizer saw it."""

    is_taken: bool = True  # False: the optimizer never saw it
    is_overflow: bool = False  # its gradient left the range of float16, and the scale has shrunk
    verdict: Verdict | None = None  # the sentry's


_TAKEN = Finding()


@dataclass(frozen=True)
class Step:
    """One finished optimizer step. Sums stay on the device, so that nobody waits for figures nobody reads."""

    number: int  # 1-based: how many steps are finished
    nats: Float[Tensor, ""]  # summed over the step's targets
    grad_norm: Float[Tensor, ""]  # of the mean loss, before clipping
    factor: float
    batch: Batch
    finding: Finding = _TAKEN
    loads: Int[Tensor, "l e"] | None = None  # tokens that experts were given; None: there are none, or the step was left out

    @property
    def num_targets(self) -> int:
        """Tokens that carry loss."""
        return self.batch.num_targets

    @property
    def position(self) -> str:
        """Where in the data this step was, for messages."""
        names = list(dict.fromkeys(name for row in self.batch.doc_ids for name in row))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"step {self.number}, documents {', '.join(names[:3])}{more}"


def train(pieces: Pieces, first: int) -> Iterator[Step]:
    """Carry out steps `first` (0-based) to the last, one for each item taken.

    A step may have no targets (the tail of an epoch can hold only last tokens): its gradient is zero, and it counts.
    """
    parameters = [parameter for parameter in pieces.model.parameters() if parameter.requires_grad]
    routers = [module for module in pieces.model.modules() if isinstance(module, Router)]
    for index, batch in enumerate(ahead(pieces.batch_of, first, pieces.num_steps), start=first):
        torch.manual_seed(pieces.seed_of(index))
        pieces.model.train()  # whoever looked at the model between two steps told it not to drop anything
        nats = _accumulate(pieces, batch, routers)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients) / pieces.scaler.scale
        finding = _found(pieces, batch, nats, norm)
        factor = pieces.factor(index)
        loads = None
        if finding.is_taken:
            _mute(gradients, finding, pieces)
            pieces.stepper.step(factor, pieces.moment_of(index), shrink=_shrink(norm, finding, pieces))
            loads = balanced(routers)
        for router in routers:
            router.loads.zero_()
        pieces.model.zero_grad(set_to_none=True)
        yield Step(index + 1, nats, norm, factor, batch, finding, loads)


def _accumulate(pieces: Pieces, batch: Batch, routers: Sequence[Router]) -> Float[Tensor, ""]:
    """Add the gradient of the step's mean loss, times the scale, to every parameter; the summed loss."""
    device = pieces.model.head_weight.device
    total = torch.zeros((), device=device)
    share = pieces.scaler.scale / max(1, batch.num_targets)
    share_beside = pieces.scaler.scale / max(1, int((batch.docs >= 0).sum()))  # routers see every token, targets or not
    for rows in to_rows(batch, device).split(pieces.micro_rows):
        for router in routers:
            router.listen()
        nats = pieces.objective.loss(pieces.model, rows)
        held = rows.docs >= 0
        beside = side_loss(routers, held)
        torch.autograd.backward(nats * share if beside is None else nats * share + beside * held.sum() * share_beside)
        total += nats.detach()
    return total


def _found(pieces: Pieces, batch: Batch, nats: Float[Tensor, ""], norm: Float[Tensor, ""]) -> Finding:
    """Whether the optimizer may see this step."""
    if pieces.scaler.overflows_at(nats, norm):
        return Finding(is_taken=False, is_overflow=True)
    if pieces.sentry is None:
        return Finding()
    verdict = pieces.sentry.judge(nats, norm, num_targets=batch.num_targets)
    return Finding(not pieces.sentry.stops(verdict), verdict=verdict)


def _mute(gradients: Sequence[Tensor], finding: Finding, pieces: Pieces) -> None:
    if pieces.sentry is not None and finding.verdict is not None:
        pieces.sentry.mute(gradients, finding.verdict)


def _shrink(norm: Float[Tensor, ""], finding: Finding, pieces: Pieces) -> Float[Tensor, ""] | None:
    """What undoes the scale and shortens the whole gradient to the clip where it is longer; None where that is surely 1."""
    shrink = (pieces.clip / (norm + _TINY)).clamp(max=1.0) / pieces.scaler.scale
    if finding.verdict is not None:
        # A muted gradient is zero; times the shrink of a norm that is not finite it would not be.
        shrink = torch.where(finding.verdict.is_good, shrink, 1.0)
    is_one = shrink.device.type == "cpu" and float(shrink) == 1.0  # elsewhere, reading it would be waited for
    return None if is_one else shrink


def check_finite(steps: Sequence[Step]) -> None:
    """Raise DataError naming the first step whose loss or gradient is not finite. Waits for the device once."""
    if not steps:
        return
    figures = torch.stack([torch.stack([step.nats, step.grad_norm]) for step in steps])
    for step, (nats, norm) in zip(steps, figures.tolist(), strict=True):
        if not (math.isfinite(nats) and math.isfinite(norm)):
            raise DataError(
                f"{step.position}: summed loss {nats}, gradient norm {norm}; nothing of it was saved; "
                "look at these documents, lower the optimizer's rate, or let a guard leave such steps out"
            )
