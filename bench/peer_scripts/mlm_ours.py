"""bench/peer_scripts/mlm_ours: whorl's arm: ModernBERT's family filling gaps through the one training loop.

The loader, objective, corruption, optimizer, loop and attention are those of `train.fit`; nothing is set for the bench but what
every arm is given: starting weights, rows, rates, clipping, precision, length.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pretrain_turns import Task, Turns  # type: ignore[import-not-found]

from whorl.core.seed import Seed
from whorl.model import checkpoint
from whorl.model.count import flops_per_token
from whorl.model.parallel import set_threads, torch_dtype
from whorl.tokens.batch import Batch
from whorl.tokens.loader import Loader
from whorl.tokens.sequences import Sequences
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.loop import Pieces, train
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer
from whorl.train.schedules import Moment
from whorl.train.weights import weights_of

OBJECTIVE = {"use": "masked", "rate": 0.3}


class Rows:
    """What a run of this seed reads at each step: packed rows, then gaps in them."""

    def __init__(self, task: Task) -> None:
        lengths = np.load(task["lengths"])
        names = pa.array([str(number) for number in range(len(lengths))], pa.large_string())
        flat = np.load(task["flat_ids"])
        sequences = Sequences(flat, np.cumsum(lengths) - lengths, lengths, names=names, flat_weights=np.empty(0, np.float32))
        self.seed = Seed(task["seed"])
        self.loader = Loader(sequences, rows=task["rows"], width=task["width"], seed=self.seed.child("data"))
        self.objective = Objective.model_validate(OBJECTIVE)
        self.tokenizer = Tokenizer.load(Path(task["tokenizer"]))

    def batch(self, step: int) -> Batch:
        """A pure function of the seed and the step."""
        drawn = self.seed.child(f"gaps-{step}").generator()
        return self.objective.prepared(self.loader.batch(step), drawn, self.tokenizer)


def build(task: Task) -> Pieces:
    """What `train.fit` would build of the same settings."""
    model = checkpoint.load(Path(task["start"])).model
    model.compute_dtype = torch_dtype(task["dtype"])
    settings = {"rate": task["rate"], "betas": task["betas"], "eps": task["eps"], "decay": task["decay"]}
    rows, size = Rows(task), task["rows"] * task["width"]
    return Pieces(
        model=model,
        objective=rows.objective,
        stepper=Optimizer.model_validate({"use": "adamw", **settings}).build(weights_of(model), model.compute_dtype),
        factor=lambda step: float(task["factors"][step]),
        moment_of=lambda step: Moment(step * size, (step + 1) * size, len(task["factors"]) * size),
        batch_of=rows.batch,
        num_steps=len(task["factors"]),
        micro_rows=task["rows"],
        clip=task["clip"],
    )


def main() -> None:
    """Build, then take turns."""
    turns = Turns()
    set_threads(turns.task["threads"])
    pieces = build(turns.task)
    config = pieces.model.config
    turns.begin(
        parameters=sum(one.numel() for one in pieces.model.parameters()),
        flops_per_token=flops_per_token(config, turns.task["width"]),
        torch=torch.__version__,
    )
    for step in train(pieces, 0):
        turns.done(float(step.nats) / max(1, step.num_targets))


if __name__ == "__main__":
    main()
