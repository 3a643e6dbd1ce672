"""bench/train_memory: peak memory of a training step: chunked cross-entropy and each way of recomputing against the naive step.

Every arm is a fresh process: model and moments, one step on a short row so that libraries are loaded, then whole steps. Peak
memory is the process's resident pages at their highest, less what it held when the model was loaded. The naive step holds all
logits, as float32 for torch's cross_entropy, and every activation; model, optimizer, rows and precision are the same. Arms are
run in turns, `--check` at a toy size.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.machine import machine
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.mask import MaskSpec
from whorl.model.parallel import set_threads
from whorl.model.recompute import Recompute, recompute
from whorl.model.transformer import Transformer
from whorl.train.data import Rows
from whorl.train.nats import summed_nats
from whorl.train.optimizers import Optimizer
from whorl.train.weights import weights_of

ROUNDS, STEPS = 3, 4  # the first step of a process is not timed
STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MAX_GAP = 0.02  # nats; bf16 logits are summed in another order
ARMS: Mapping[str, tuple[bool, Recompute]] = {  # whether the loss is chunked, and what is recomputed
    "naive": (False, "none"),
    "chunked": (True, "none"),
    "chunked, selective": (True, "selective"),
    "chunked, full": (True, "full"),
}


@dataclass(frozen=True)
class Size:
    """Of the model and of a step."""

    depth: int
    width: int
    heads: int
    mlp_width: int
    vocab_size: int
    tokens: int  # of a row
    rows: int
    document: int  # tokens of each document packed into a row


FULL = Size(depth=10, width=384, heads=6, mlp_width=1024, vocab_size=32_768, tokens=512, rows=16, document=200)  # 30 M
TOY = Size(depth=2, width=64, heads=2, mlp_width=128, vocab_size=2_048, tokens=64, rows=4, document=20)


def main() -> int:
    """Measure, print a table, print the JSON line; as `ARM SIZE` carry out one arm."""
    if len(sys.argv) == 3:
        print(json.dumps(measured(*ARMS[sys.argv[1]], size=Size(**json.loads(sys.argv[2])))))
        return 0
    size = TOY if "--check" in sys.argv else FULL
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS}
    for _ in range(1 if size is TOY else ROUNDS):
        for name, found in runs.items():
            found.append(_fresh(name, size))
    figures = _figures(runs)
    missed = _changed(runs) + ([] if size is TOY else _dearer(figures["by_arm"]))
    print(json.dumps({"bench": "train_memory", **figures, "size": asdict(size), "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def _fresh(name: str, size: Size) -> dict[str, Any]:
    """One arm in a process of its own, with threads that sleep when they wait."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "bench.train_memory", name, json.dumps(asdict(size))]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(is_chunked: bool, mode: Recompute, *, size: Size) -> dict[str, Any]:  # noqa: FBT001 - a row of ARMS
    """Train some steps; peak MB above the loaded model, seconds of a step, losses."""
    set_threads(os.cpu_count() or 1)
    dials = {name: getattr(size, name) for name in ("depth", "width", "heads", "mlp_width")}
    model = Transformer.fresh(Family.model_validate({"use": "llama", **dials}).configure(size.vocab_size, size.tokens), Seed(7))
    model.compute_dtype = torch.bfloat16
    recompute(model, mode)
    loaded = _resident("VmRSS")
    stepper = Optimizer.model_validate({"use": "adamw", "rate": 1e-3}).build(weights_of(model), model.compute_dtype)
    loss = summed_nats if is_chunked else _naive_nats
    _step(model, loss, _rows(size, 1, 16))
    stepper.step(0.0)
    ready = _resident("VmRSS")
    PEAK_RESET.write_text("5")  # the kernel's word for: forget the highest so far
    losses, seconds = [], []
    for number in range(STEPS):
        began = time.perf_counter()
        losses.append(_step(model, loss, _rows(size, size.rows, size.tokens, number)))
        stepper.step(1.0)
        seconds.append(time.perf_counter() - began)
    peak = _resident("VmHWM")
    taken = statistics.median(seconds[1:])
    return {"peak_mb": peak - loaded, "step_mb": peak - ready, "step_s": taken, "losses": losses}


def _step(model: Transformer, loss: Callable[[Transformer, Rows], Tensor], rows: Rows) -> float:
    """Loss per target; its gradient is left at the parameters."""
    model.zero_grad(set_to_none=True)
    mean = loss(model, rows) / rows.weights.sum()
    torch.autograd.backward(mean)
    return float(mean.detach())


def _naive_nats(model: Transformer, rows: Rows) -> Tensor:
    """The loss with all logits at once."""
    logits = model.head(model(rows.ids, mask=MaskSpec(docs=rows.docs), positions=rows.positions))  # b t v
    return functional.cross_entropy(logits.float().flatten(0, 1), rows.targets.flatten(), reduction="sum")


def _rows(size: Size, rows: int, tokens: int, seed: int = 0) -> Rows:
    """Packed documents of random ids, each id followed by its double, so that there is something to learn."""
    ids = torch.randint(0, size.vocab_size, (rows, tokens), generator=torch.Generator().manual_seed(seed))
    places = torch.arange(tokens).expand(rows, tokens)
    docs, positions = places // size.document, places % size.document
    return Rows(ids, ids * 2 % size.vocab_size, torch.ones(rows, tokens), docs, positions)


def _resident(field: str) -> float:
    """MB of this process: VmRSS held now, VmHWM held at most since it was last reset. Linux."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


def _figures(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Medians over processes; `ratio` is naive over chunked, nothing recomputed, `ratios` those of every arm."""
    keys = ("peak_mb", "step_mb", "step_s")
    by_arm = {
        name: {key: round(statistics.median(run[key] for run in found), 3) for key in keys} for name, found in runs.items()
    }
    naive, ours = by_arm["naive"], by_arm["chunked"]
    ratios = {name: round(naive["peak_mb"] / found["peak_mb"], 2) for name, found in by_arm.items()}
    times = {name: round(found["step_s"] / naive["step_s"], 3) for name, found in by_arm.items()}
    print(f"{'arm':>20}  peak MB  above a tiny step  s/step  memory  time")
    for name, found in by_arm.items():
        told = f"{found['peak_mb']:7.0f}  {found['step_mb']:17.0f}  {found['step_s']:6.2f}"
        print(f"{name:>20}  {told}  1/{ratios[name]:<5}  x{times[name]}")
    peaks = [run["peak_mb"] for run in runs["chunked"]]
    return {
        "ours": ours["peak_mb"],
        "peer": naive["peak_mb"],
        "ratio": ratios["chunked"],
        "unit": "MB of resident memory at the peak of a training step, above the loaded model",
        "n": len(peaks),
        "spread": [round(min(peaks), 1), round(max(peaks), 1)],
        "ratios": ratios,
        "times": times,
        "by_arm": by_arm,
    }


def _dearer(by_arm: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A complaint for every arm that needs as much memory as the one before it. Toys hold little but libraries."""
    pairs = [(dear, by_arm[dear]["peak_mb"], cheap, by_arm[cheap]["peak_mb"]) for dear, cheap in pairwise(ARMS)]
    return [f"{cheap} holds {less:.0f} MB, {dear} {more:.0f}" for dear, more, cheap, less in pairs if less >= more]


def _changed(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A complaint for every arm that does not train as the others do."""
    first = {name: found[0]["losses"] for name, found in runs.items()}
    missed = [] if first["chunked"] == first["chunked, selective"] == first["chunked, full"] else [f"losses change: {first}"]
    gap = max(abs(ours - naive) for ours, naive in zip(first["chunked"], first["naive"], strict=True))
    return missed + ([f"chunked and naive losses differ by {gap:.4f}"] if gap > MAX_GAP else [])


if __name__ == "__main__":
    sys.exit(main())
