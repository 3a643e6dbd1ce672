"""train/loop: the loop: rows in, one optimizer step, a word on what happened; there is no other.

Loss = sum of the objective / number of targets of the whole step, so micro-batches change nothing. Branches on no names: what
to train, on what and how was decided by who built the pieces. Does not log, watch, save or stop: that is for who iterates.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from whorl.core.errors import DataError
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.tokens.workers import ahead
from whorl.train.data import to_rows
from whorl.train.objectives import Objective
from whorl.train.optimizers import Stepper

__all__ = ["Pieces", "Step", "check_finite", "train"]


@dataclass(frozen=True)
class Pieces:
    """What a run is made of."""

    model: Transformer
    objective: Objective
    stepper: Stepper
    factor: Callable[[int], float]  # step -> fraction of the peak learning rates
    batch_of: Callable[[int], Batch]  # step -> rows; pure
    num_steps: int
    micro_rows: int  # rows that go through the model at once
    clip: float  # largest gradient norm; beyond it gradients are scaled down


@dataclass(frozen=True)
class Step:
    """One finished optimizer step. Sums stay on the device, so that nobody waits for figures nobody reads."""

    number: int  # 1-based: how many steps are finished
    nats: Float[Tensor, ""]  # summed over the step's targets
    grad_norm: Float[Tensor, ""]  # of the mean loss, before clipping
    num_targets: int
    factor: float
    doc_ids: tuple[tuple[str, ...], ...]

    @property
    def position(self) -> str:
        """Where in the data this step was, for messages."""
        names = list(dict.fromkeys(name for row in self.doc_ids for name in row))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"step {self.number}, documents {', '.join(names[:3])}{more}"


def train(pieces: Pieces, first: int) -> Iterator[Step]:
    """Carry out steps `first` (0-based) to the last, one for each item taken.

    A step may have no targets (the tail of an epoch can hold only last tokens): its gradient is zero, and it counts.
    """
    parameters = [parameter for parameter in pieces.model.parameters() if parameter.requires_grad]
    for index, batch in enumerate(ahead(pieces.batch_of, first, pieces.num_steps), start=first):
        nats = _accumulate(pieces, batch, parameters[0].device)
        norm = nn.utils.clip_grad_norm_(parameters, pieces.clip)
        factor = pieces.factor(index)
        pieces.stepper.step(factor)
        pieces.model.zero_grad(set_to_none=True)
        yield Step(index + 1, nats, norm, batch.num_targets, factor, batch.doc_ids)


def _accumulate(pieces: Pieces, batch: Batch, device: torch.device) -> Float[Tensor, ""]:
    """Add the gradient of the step's mean loss to every parameter; the summed loss."""
    total = torch.zeros((), device=device)
    for rows in to_rows(batch, device).split(pieces.micro_rows):
        nats = pieces.objective.loss(pieces.model, rows)
        torch.autograd.backward(nats / max(1, batch.num_targets))
        total += nats.detach()
    return total


def check_finite(steps: Sequence[Step]) -> None:
    """Raise DataError naming the first step whose loss or gradient is not finite. Waits for the device once."""
    if not steps:
        return
    figures = torch.stack([torch.stack([step.nats, step.grad_norm]) for step in steps])
    for step, (nats, norm) in zip(steps, figures.tolist(), strict=True):
        if not (math.isfinite(nats) and math.isfinite(norm)):
            raise DataError(
                f"{step.position}: summed loss {nats}, gradient norm {norm}; nothing of it was saved; "
                "look at these documents, or lower the optimizer's rate"
            )
