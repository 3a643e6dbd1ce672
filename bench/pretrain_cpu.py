"""bench/pretrain_cpu: tokens a second of pretraining on two cores, whorl as it comes beside transformers and a plain loop.

One LLaMA shape at two sizes, 16 rows of 256 tokens a step, the same ids in the same order for all. Each arm is a process that
trains a few steps when it is its turn and waits on a pipe otherwise; turns go round until every arm has taken 60 timed steps,
and a ratio is the median over rounds of one arm's time over ours in that round, so that what else the machine does hits all
alike. Compiling and warm-up are never timed. The peer is the fastest of transformers' LlamaForCausalLM under torch.compile:
sdpa or eager attention, bf16 by autocast over float32 weights (as ours) or weights in bf16 outright (less work, and a worse
optimizer).
Beside it: a teaching script's loop, plain and compiled, and HF Trainer at its float32 defaults. All use torch's fused AdamW and
the same clipping. Equal loss: 200k tokens at 6 M, three seeds each, ours and the peer by autocast. Rows are whole documents,
because peers do not tell packed documents apart; another arm is whorl on the same text with its documents packed. Exits 1 when
a bar is missed.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.machine import machine
from bench.peer_scripts.pretrain_ours import loader
from bench.peers import TRANSFORMERS, peer_python
from bench.workshop import Workshop
from whorl.model.peak import measured_peak
from whorl.tokens.shards import TokenShards

SCRIPTS = Path(__file__).parent / "peer_scripts"
THREADS, ROWS, WIDTH = 2, 16, 256
WARM_STEPS, STEPS, TURN = 4, 60, 5
LOSS_TOKENS, SEEDS, LAST_STEPS = 200_000, (1, 2, 3), 10
COMMON = {"norm_eps": 1e-5, "init_std": 0.02}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "6M": {"vocab": 4096, "width": 256, "depth": 6, "heads": 4, "mlp_width": 704, **COMMON},
    "30M": {"vocab": 8192, "width": 512, "depth": 8, "heads": 8, "mlp_width": 1408, **COMMON},
}
SETTINGS = {"rate": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "decay": 0.1, "clip": 1.0}
BARS = {"hf": 1.25, "trainer": 2.5, "plain": 1.25}
AIM_SHARE = 0.5  # of the measured bf16 peak; an aim, not a bar


@dataclass(frozen=True)
class Arm:
    """One way of training, and the line of BARS it is compared on."""

    name: str
    group: str
    script: str
    options: Mapping[str, Any]


def _peer(name: str, group: str, *, autocast: bool = True, compiled: bool = True, attention: str = "sdpa") -> Arm:
    options = {"model": group, "autocast": autocast, "compiled": compiled, "attention": attention}
    return Arm(name, group, "pretrain_peers.py", options)


OURS = Arm("whorl", "whorl", "pretrain_ours.py", {"packed": False})
PACKED = Arm("whorl, packed documents", "packed", "pretrain_ours.py", {"packed": True})
AUTOCAST = (_peer("hf sdpa", "hf"), _peer("hf eager", "hf", attention="eager"))
ARMS = (
    OURS,
    PACKED,
    *AUTOCAST,
    _peer("hf sdpa, bf16 weights", "hf", autocast=False),
    _peer("hf eager, bf16 weights", "hf", autocast=False, attention="eager"),
    _peer("plain loop", "plain", compiled=False),
    _peer("plain loop, compiled", "plain"),
    Arm("HF Trainer, fp32", "trainer", "pretrain_trainer.py", {"attention": "sdpa"}),
)


class Running:
    """An arm's process."""

    def __init__(self, arm: Arm, python: Path, task: Mapping[str, Any], log: Path) -> None:
        self.arm = arm
        self._log = log
        command = [str(python), str(SCRIPTS / arm.script)]
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment()
            )
        self._send(json.dumps({**task, **arm.options}))
        self.facts = self._answer()

    def take(self, steps: int) -> dict[str, Any]:
        """Train so many steps: seconds and loss of each, CPU-seconds of all, and CPU-seconds spent while it waited."""
        self._send(str(steps))
        return {**self._answer(), **self._answer()}

    def end(self) -> None:
        """Let it go."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None, "asked for pipes"
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None, "asked for a pipe"
        with suppress(BrokenPipeError):  # it has ended: then it does not answer either
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "asked for a pipe"
        line = self._process.stdout.readline()
        if not line:
            self.end()
            sys.exit(f"{self.arm.name} ended: {self._log.read_text()[-2000:]}")
        return dict(json.loads(line))


def main() -> int:
    """Measure, print what was found, print the JSON line."""
    python = peer_python(*TRANSFORMERS)
    if python is None:
        print(json.dumps({"bench": "pretrain_cpu", "peer": None, "missed": ["no peer"]}))
        return 1
    torch.set_num_threads(THREADS)
    peaks = [_peak()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = _documents(folder)
        tasks = {size: _task(folder, documents, size) for size in SHAPES}
        speeds = {size: _speed(task, python, folder) for size, task in tasks.items()}
        peaks.append(_peak())
        loss = _losses(tasks["6M"], python, folder)
    figures = {size: _figures(found, peak=max(peaks)) for size, found in speeds.items()}
    missed = _missed(figures, loss)
    print(json.dumps(_line(figures, loss) | {"peak_tflops": round(max(peaks) / 1e12, 3), "missed": missed}))
    return 1 if missed else 0


def _environment() -> dict[str, str]:
    """Of every arm: two threads, and nothing that would slow or speed one of them alone."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(THREADS),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": f"{SCRIPTS}{os.pathsep}{SCRIPTS.parents[1]}",
    }


def _peak() -> float:
    """FLOP/s of a large bf16 product on as many threads as the arms have."""
    return max(measured_peak(torch.device("cpu"), torch.bfloat16).flops for _ in range(5))


def _documents(folder: Path) -> Workshop:
    """The docstrings of the running Python's library: every machine that runs this has them."""
    shop = Workshop(folder)
    shop.run("raw", use="corpus.collect", sources=[{"use": "python_docs"}])
    shop.run("pages", use="corpus.refine", **{"from": "raw"})
    return shop


def _task(folder: Path, shop: Workshop, size: str) -> dict[str, Any]:
    """Ids in files, for all arms of one size."""
    shape = SHAPES[size]
    shop.run(f"vocab{size}", use="tokens.learn", **{"from": "pages"}, size=shape["vocab"])
    shop.run(f"ids{size}", use="tokens.encode", **{"from": "pages"}, tokenizer=f"vocab{size}")
    shards = TokenShards.open(folder / f"ids{size}", "train")
    return written_task(folder / f"task{size}", shards, shape=shape, steps=WARM_STEPS + STEPS)


def written_task(folder: Path, shards: TokenShards, *, shape: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The rows of so many steps as every arm reads them: whorl by its loader, peers as arrays of what that loader gives."""
    folder.mkdir(parents=True)
    whole = np.asarray(shards.ids)[: len(shards.ids) // WIDTH * WIDTH].astype(np.uint16)
    lengths = np.full(len(whole) // WIDTH, WIDTH, np.int64)
    ours = loader(whole, lengths, rows=ROWS, width=WIDTH)
    batches = [ours.batch(step) for step in range(steps)]
    arrays: dict[str, np.ndarray] = {
        "flat_ids": whole,
        "lengths": lengths,
        "all_ids": np.asarray(shards.ids),
        "all_lengths": np.asarray(shards.lengths, np.int64),
        "ids": np.stack([batch.ids for batch in batches]),
        "targets": np.stack([np.where(batch.weights > 0, batch.targets, -100) for batch in batches]),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    files = {name: str(folder / f"{name}.npy") for name in arrays}
    factors = [1.0] * steps
    return {
        **files,
        **SETTINGS,
        "shape": shape,
        "rows": ROWS,
        "width": WIDTH,
        "threads": THREADS,
        "factors": factors,
        "seed": 1,
    }


def _speed(task: dict[str, Any], python: Path, folder: Path) -> dict[str, Any]:
    """Seconds a step in each turn, by arm."""
    running = [_start(arm, task, python, folder) for arm in ARMS]
    seconds: dict[str, list[float]] = {arm.name: [] for arm in ARMS}
    waiting = dict.fromkeys(seconds, 0.0)
    for one in running:
        one.take(WARM_STEPS)
    for turn in range(STEPS // TURN):
        for one in running[turn % len(running) :] + running[: turn % len(running)]:
            taken = one.take(TURN)
            seconds[one.arm.name].append(statistics.median(taken["seconds"]))
            waiting[one.arm.name] += taken["cpu_s_waiting"]
    for one in running:
        one.end()
    shown = {name: round(statistics.median(found) * 1e3, 1) for name, found in seconds.items()}
    print(f"{running[0].facts['parameters']} parameters, ms a step: {json.dumps(shown)}", flush=True)
    return {"seconds": seconds, "waiting_s": waiting, "facts": running[0].facts}


def _start(arm: Arm, task: Mapping[str, Any], python: Path, folder: Path) -> Running:
    return Running(arm, Path(sys.executable) if arm in (OURS, PACKED) else python, task, folder / f"{arm.name}.log")


def _figures(found: Mapping[str, Any], *, peak: float) -> dict[str, Any]:
    """Tokens a second, ratios to ours by group, and our share of the peak."""
    seconds: Mapping[str, Sequence[float]] = found["seconds"]
    ours = seconds[OURS.name]
    rate = ROWS * WIDTH / statistics.median(ours)
    fastest = {
        group: min((arm.name for arm in ARMS if arm.group == group), key=lambda name: statistics.median(seconds[name]))
        for group in BARS
    }
    rounds = {group: [its / mine for its, mine in zip(seconds[name], ours, strict=True)] for group, name in fastest.items()}
    return {
        "ours": round(rate),
        "tokens_per_s": {name: round(ROWS * WIDTH / statistics.median(each)) for name, each in seconds.items()},
        "fastest": fastest,
        "ratio": {group: round(statistics.median(each), 3) for group, each in rounds.items()},
        "spread": {group: _quartiles(each) for group, each in rounds.items()},
        "share_of_peak": round(rate * found["facts"]["flops_per_token"] / peak, 3),
        "cpu_s_while_waiting": round(max(found["waiting_s"].values()), 3),
        "parameters": found["facts"]["parameters"],
        "dtype": found["facts"]["dtype"],
    }


def _quartiles(values: Sequence[float]) -> list[float]:
    low, _, high = statistics.quantiles(values, n=4)
    return [round(low, 3), round(high, 3)]


def _losses(task: dict[str, Any], python: Path, folder: Path) -> dict[str, Any]:
    """Mean loss of the last steps of a whole small run, cosine schedule, by arm and seed."""
    steps = LOSS_TOKENS // (ROWS * WIDTH) + 1
    factors = [min((step + 1) / 5, 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps))) for step in range(steps)]
    found: dict[str, list[float]] = {}
    for arm in (OURS, AUTOCAST[1]):
        for seed in SEEDS:
            running = _start(arm, {**task, "factors": factors, "seed": seed}, python, folder)
            losses = running.take(steps)["losses"]
            running.end()
            found.setdefault(arm.name, []).append(statistics.fmean(losses[-LAST_STEPS:]))
    ours, theirs = found.values()
    apart = abs(statistics.fmean(ours) - statistics.fmean(theirs))
    spread = max(max(each) - min(each) for each in (ours, theirs))
    print(f"loss after {steps * ROWS * WIDTH} tokens: {found}, means {apart:.4f} apart, spread of seeds {spread:.4f}")
    return {"by_seed": {name: [round(x, 4) for x in each] for name, each in found.items()}, "apart": apart, "spread": spread}


def _missed(figures: Mapping[str, Any], loss: Mapping[str, Any]) -> list[str]:
    missed = [
        f"{size}: {found['ratio'][group]} against {found['fastest'][group]}, want {bar}"
        for size, found in figures.items()
        for group, bar in BARS.items()
        if found["ratio"][group] < bar
    ]
    return missed + ([] if loss["apart"] < loss["spread"] else [f"mean losses are {loss['apart']:.4f} apart"])


def _line(figures: Mapping[str, Any], loss: Mapping[str, Any]) -> dict[str, Any]:
    small = figures["6M"]
    return {
        "bench": "pretrain_cpu",
        "ours": small["ours"],
        "peer": small["tokens_per_s"][small["fastest"]["hf"]],
        "ratio": small["ratio"]["hf"],
        "unit": "tokens per second, 6 M parameters, two threads",
        "n": STEPS,
        "spread": small["spread"]["hf"],
        "machine": machine(),
        "peer_is": f"transformers 5.23.0 LlamaForCausalLM, torch.compile, {small['fastest']['hf']}",
        "vocabulary": {size: shape["vocab"] for size, shape in SHAPES.items()},
        "row": WIDTH,
        "rows": ROWS,
        "sizes": figures,
        "loss": {**loss, "apart": round(loss["apart"], 4), "spread": round(loss["spread"], 4)},
        "aim_missed": [
            f"{size}: {f['share_of_peak']} of the peak" for size, f in figures.items() if f["share_of_peak"] < AIM_SHARE
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
