"""bench/peer_scripts/pretrain_ours: whorl's arm: a fresh llama through the one training loop, every choice left to its default.

The loader, objective, optimizer, loop, precision and attention are those of `train.fit`; nothing is set for the bench but what
every arm is given: shape, rows, rates, clipping, length.
"""

import numpy as np
import pyarrow as pa
import torch
from bench.peer_scripts.pretrain_turns import Task, Turns

from whorl.core.seed import Seed
from whorl.model.count import flops_per_token
from whorl.model.families import Family
from whorl.model.parallel import pick_dtype, set_threads, torch_dtype
from whorl.model.transformer import Transformer
from whorl.tokens.loader import Loader
from whorl.tokens.sequences import Sequences
from whorl.train.guard import Guard, Sentry
from whorl.train.loop import Pieces, train
from whorl.train.machinery import Machinery
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer
from whorl.train.timetable import Timetable
from whorl.train.weights import weights_of


def loader(ids: np.ndarray, lengths: np.ndarray, *, rows: int, width: int) -> Loader:
    """Documents of these lengths, one behind another in `ids`, shuffled and packed as in any run."""
    names = pa.array([str(number) for number in range(len(lengths))], pa.large_string())
    sequences = Sequences(ids, np.cumsum(lengths) - lengths, lengths, names=names, flat_weights=np.empty(0, np.float32))
    return Loader(sequences, rows=rows, width=width, seed=Seed(7))


def build(task: Task) -> Pieces:
    """What `train.fit` builds of the same settings."""
    shape = dict(task["shape"])
    family = Family.model_validate({"use": "llama", "zero_outputs": False, **{k: shape[k] for k in shape if k != "vocab"}})
    model = Transformer.fresh(family.configure(shape["vocab"], task["width"]), Seed(task["seed"]))
    dtype = torch_dtype(pick_dtype("auto").name)
    Machinery(dtype, fp8=False, attention="auto", dropout=0.0, recompute="none", compile="auto").set_up(model, task["width"])
    settings = {"rate": task["rate"], "betas": task["betas"], "eps": task["eps"], "decay": task["decay"]}
    optimizer = Optimizer.model_validate({"use": "adamw", **settings})
    names = ("all_ids", "all_lengths") if task["packed"] else ("flat_ids", "lengths")
    ids, lengths = (np.load(task[name]) for name in names)
    timetable = Timetable(len(task["factors"]), rows=task["rows"], width=task["width"])
    return Pieces(
        model=model,
        objective=Objective.model_validate({"use": "next_token"}),
        stepper=optimizer.build(weights_of(model), model.compute_dtype),
        factor=lambda step: float(task["factors"][step]),
        moment_of=timetable.moment,
        batch_of=loader(ids, lengths, rows=task["rows"], width=task["width"]).batch,
        num_steps=timetable.num_steps,
        micro_rows=task["rows"],
        clip=task["clip"],
        sentry=Sentry(Guard(), model.head_weight.device),
    )


def main() -> None:
    """Build, then take turns."""
    turns = Turns()
    task = turns.task
    set_threads(task["threads"])
    pieces = build(task)
    turns.begin(
        parameters=sum(one.numel() for one in pieces.model.parameters()),
        flops_per_token=flops_per_token(pieces.model.config, task["width"]),
        torch=torch.__version__,
        dtype=pick_dtype("auto").name,
    )
    for step in train(pieces, 0):
        turns.done(float(step.nats) / max(1, step.num_targets))


if __name__ == "__main__":
    main()
