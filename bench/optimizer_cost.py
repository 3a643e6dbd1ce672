"""bench/optimizer_cost: CPU time of one update of every optimizer behind the door, beside torch's fused AdamW.

The weights of a LLaMA of 6 and of 30 million parameters, gradients drawn; one thread, rounds in turns and every other one
backwards (what ran before decides what is in the caches), medians. Updates only: no model runs. Bar: AdamW costs at most 5 %
more than torch's. The others are told, not barred: Muon multiplies matrices, Lion and the cautious options make more passes
over memory than a fused kernel does.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import nn

from bench.machine import machine
from whorl.model.parallel import pick_dtype, torch_dtype
from whorl.train.optimizers import Optimizer
from whorl.train.weights import Role, Weight

ROUNDS: Final = 10
MOST: Final = 1.05  # of torch's time
PEER: Final = "torch fused AdamW"
SHAPES: Final = {"6M": (256, 704, 6), "30M": (512, 1408, 9)}  # width, mlp width, depth
VOCABULARY: Final = 4096
STEPPERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "adamw": {"use": "adamw"},
    "adamw, decay constant": {"use": "adamw", "decay_schedule": "peak"},
    "adamw, l1": {"use": "adamw", "l1": 1e-4},
    "adamw, cautious decay": {"use": "adamw", "cautious_decay": True},
    "adamw, cautious": {"use": "adamw", "cautious": True},
    "sgd": {"use": "sgd"},
    "lion": {"use": "lion"},
    "muon": {"use": "muon"},
    "muon, rows evened": {"use": "muon", "row_beta": 0.95},
}


def weights(width: int, mlp_width: int, depth: int) -> list[Weight]:
    """The weights of a LLaMA, with gradients."""
    generator = torch.Generator().manual_seed(0)
    square, up, down = (width, width), (mlp_width, width), (width, mlp_width)
    block: list[tuple[Role, tuple[int, ...]]] = [("matrix", shape) for shape in (square, square, square, square, up, up, down)]
    block += [("vector", (width,)), ("vector", (width,))]
    drawn: list[tuple[Role, tuple[int, ...]]] = [("embedding", (VOCABULARY, width)), ("head", (VOCABULARY, width))]
    found = []
    for number, (role, shape) in enumerate(drawn + block * depth):
        tensor = nn.Parameter(0.02 * torch.randn(shape, generator=generator))
        tensor.grad = 1e-3 * torch.randn(shape, generator=generator)
        found.append(Weight(f"{role}{number}", tensor, role))
    return found


def milliseconds(updates: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """Median CPU time of each, taken in turns; the first two rounds, in which moments are made, are left out."""
    taken: dict[str, list[float]] = {name: [] for name in updates}
    for number in range(ROUNDS + 2):
        for name in list(updates)[:: 1 if number % 2 else -1]:
            began = time.process_time()
            updates[name]()
            taken[name].append(1e3 * (time.process_time() - began))
    return {name: statistics.median(times[2:]) for name, times in taken.items()}


def updates(size: str) -> dict[str, Callable[[], None]]:
    """What is timed: one step of each, over weights that all of them share."""
    given = weights(*SHAPES[size])
    peer = torch.optim.AdamW([weight.tensor for weight in given], lr=1e-6, weight_decay=0.1, fused=True)
    found: dict[str, Callable[[], None]] = {PEER: lambda: peer.step() and None}
    dtype = torch_dtype(pick_dtype("auto").name)
    for name, written in STEPPERS.items():
        stepper = Optimizer.model_validate({**written, "rate": 1e-6}).build(given, dtype)
        found[name] = lambda stepper=stepper: stepper.step(1.0)  # type: ignore[misc]  # each its own
    return found


def main() -> int:
    """Measure, print a table, print the JSON line."""
    torch.set_num_threads(1)
    found = {size: milliseconds(updates(size)) for size in SHAPES}
    print(f"{'CPU ms of an update':24}" + "".join(f"{size:>10}" for size in SHAPES))
    for name in (PEER, *STEPPERS):
        print(f"{name:24}" + "".join(f"{found[size][name]:10.2f}" for size in SHAPES))
    shares = {size: times["adamw"] / times[PEER] for size, times in found.items()}
    missed = [f"adamw at {size}" for size, share in shares.items() if share > MOST]
    said = {
        "bench": "optimizer_cost",
        "ours": round(found["30M"]["adamw"], 2),
        "peer": round(found["30M"][PEER], 2),
        "ratio": round(1 / shares["30M"], 3),
        "unit": "CPU ms of an update of 30M parameters, AdamW, one thread",
        "n": ROUNDS,
        "spread": ", ".join(f"{size} {1 / share:.3f}" for size, share in shares.items()),
        "machine": machine(),
        "milliseconds": {size: {name: round(one, 2) for name, one in times.items()} for size, times in found.items()},
        "missed": missed,
    }
    print(json.dumps(said))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
