"""bench/optimizers: Muon beside AdamW, both tuned by the same number of trials, and four depths of one recipe on a line.

Text: docstrings of the standard library. Every run is the real stage with a WSD schedule; a score is bits per byte of
held-out text after the last step.

Equal steps and equal time. Each optimizer is tuned at seed 0, one setting after another (a rate whose best is at the end of its
grid gets a longer grid; still at the end is a miss), with equally many trials to begin with. Then seeds 1 to 3, in turns.
A step of Muon takes longer: for equal time it gets as many steps fewer as its median step takes longer, on a schedule of that
length. Bar, both times: the worst seed of Muon is below the best of AdamW.

Depths. One recipe, only `depth` changed (the dial sets width and heads), equal tokens. Bar, set before anything was measured:
more depth is less loss, and every depth lies within 1 % of the power law in parameters fitted to all four.

`--quick` does all of it at toy size, for tests; its figures mean nothing.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from bench.machine import machine
from bench.training_ground import TrainingGround, Trial
from whorl.core.config import worker_environment

SMOOTH: Final = 0.01  # of the loss: how far a depth may lie from the line
_MOST_LONGER: Final = 3  # values added to a grid of rates


class Size(NamedTuple):
    """How much is done."""

    steps: int
    rows: int
    width: int  # tokens of a row
    model: Mapping[str, Any]
    depths: Sequence[int]
    seeds: Sequence[int]
    grid: int  # most values of one setting, before a grid is made longer
    vocabulary: int


FULL: Final = Size(300, 16, 128, {"use": "llama", "depth": 4, "width": 128}, (2, 3, 4, 5), (1, 2, 3), 5, 1024)
QUICK: Final = Size(4, 4, 32, {"use": "llama", "depth": 1, "width": 64}, (1, 2, 3, 4), (1, 2), 1, 512)

# Settings in the order they are tuned, nine trials each; the first value is where it starts. Embeddings have a rate of their
# own on both sides: at one rate for all, AdamW's are far too slow at this size and Muon would win by that alone.
SWEEPS: Final[Mapping[str, Mapping[str, tuple[Any, ...]]]] = {
    "adamw": {
        "warmup": (0.1, 0.02),
        "embedding": (6e-2, 2e-2, 18e-2),
        "rate": (4e-3, 1e-3, 2e-3, 8e-3, 16e-3),
        "betas": ((0.9, 0.95), (0.9, 0.99)),
    },
    "muon": {
        "warmup": (0.1, 0.02),
        "embedding": (6e-2, 2e-2, 18e-2),
        "rate": (0.03, 0.0075, 0.015, 0.06, 0.12),
        "adam_rate": (6e-3, 12e-3),
    },
}
_RATES: Final = ("embedding", "rate")  # grids that are made longer


@dataclass
class Sweep:
    """One optimizer being tuned."""

    name: str
    ground: TrainingGround
    size: Size
    scores: dict[str, float] = field(default_factory=dict)  # settings as JSON -> bits per byte
    is_at_end: bool = False  # a best rate lies at the end of the longest grid

    def best(self) -> dict[str, Any]:
        """The best settings, found one after another."""
        settings = {name: grid[0] for name, grid in SWEEPS[self.name].items()}
        for name, grid in SWEEPS[self.name].items():
            settings[name] = self._best_of(settings, name, grid=list(grid[: self.size.grid]))
        return settings

    def _best_of(self, settings: Mapping[str, Any], name: str, *, grid: list[Any], longer: int = _MOST_LONGER) -> Any:
        best = min(grid, key=lambda value: self._score({**settings, name: value}))
        if name not in _RATES or best not in (min(grid), max(grid)) or self.size.grid == 1:
            return best
        if not longer:
            self.is_at_end = True
            return best
        further = best / 2 if best == min(grid) else best * 2
        return self._best_of(settings, name, grid=[*grid, further], longer=longer - 1)

    def _score(self, settings: Mapping[str, Any]) -> float:
        written = json.dumps(settings)
        if written not in self.scores:
            recipe = recipe_of(self.size, **tuning(self.name, settings))
            self.scores[written] = self.ground.trial(recipe, seed=0).bits_per_byte
            print(f"  {self.name} {written}: {self.scores[written]:.4f}", flush=True)
        return self.scores[written]


def tuning(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fit that settings are about."""
    own = {key: value for key, value in settings.items() if key not in ("warmup", "embedding")}
    return {
        "optimizer": {"use": name, "rates": {"embedding": settings["embedding"]}, **own},
        "schedule": {"use": "wsd", "warmup": settings["warmup"]},
    }


def recipe_of(size: Size, *, steps: int | None = None, **changes: Any) -> dict[str, Any]:
    """A fit of this size, with some fields changed."""
    length = f"{steps or size.steps} steps"
    shared = {"model": size.model, "objective": {"use": "next_token"}, "length": length, "rows": size.rows}
    return {**shared, "width": size.width, **changes}


class Contest(NamedTuple):
    """Tuned optimizers on the seeds nobody was tuned on."""

    adamw: list[Trial]
    muon: list[Trial]
    muon_in_time: list[Trial]
    steps_in_time: int
    step_ratio: float  # time of a step of Muon in steps of AdamW

    def bars(self) -> dict[str, bool]:
        """What must hold, and whether it does."""
        return {"equal steps": below(self.muon, self.adamw), "equal time": below(self.muon_in_time, self.adamw)}


def below(ours: Sequence[Trial], theirs: Sequence[Trial]) -> bool:
    """Whether the worst of ours is better than the best of theirs."""
    return max(scores(ours)) < min(scores(theirs))


def scores(trials: Sequence[Trial]) -> list[float]:
    """Their bits per byte."""
    return [trial.bits_per_byte for trial in trials]


def contest(ground: TrainingGround, size: Size, tuned: Mapping[str, Mapping[str, Any]]) -> Contest:
    """Seeds in turns at equal steps, then Muon's again at equal time."""
    found: dict[str, list[Trial]] = {"adamw": [], "muon": []}
    for seed, name in itertools.product(size.seeds, found):
        recipe = recipe_of(size, **tuning(name, tuned[name]))
        found[name].append(ground.trial(recipe, seed=seed))
        print(
            f"  seed {seed} {name}: {found[name][-1].bits_per_byte:.4f}, {found[name][-1].step_s * 1e3:.1f} ms a step",
            flush=True,
        )
    pairs = zip(found["muon"], found["adamw"], strict=True)
    ratio = statistics.median(ours.step_s / theirs.step_s for ours, theirs in pairs)
    steps = max(1, min(size.steps, math.floor(size.steps / ratio)))
    recipe = recipe_of(size, steps=steps, **tuning("muon", tuned["muon"]))
    return Contest(
        **found, muon_in_time=[ground.trial(recipe, seed=seed) for seed in size.seeds], steps_in_time=steps, step_ratio=ratio
    )


class Line(NamedTuple):
    """A power law, loss = scale * parameters ** -power, through trials of several depths."""

    depths: Sequence[int]
    parameters: list[int]
    losses: list[float]  # bits per byte
    power: float
    residuals: list[float]  # of each depth, as a fraction of what the law says

    @property
    def is_smooth(self) -> bool:
        """See the top of this file."""
        falls = all(deeper < shallower for shallower, deeper in itertools.pairwise(self.losses))
        return falls and max(map(abs, self.residuals)) <= SMOOTH


def power_law(depths: Sequence[int], trials: Sequence[Trial]) -> Line:
    """The straight line of least squares through the logarithms."""
    sizes, losses = [trial.parameters for trial in trials], scores(trials)
    slope, offset = np.polyfit(np.log(sizes), np.log(losses), 1)
    said = np.exp(offset + slope * np.log(sizes))
    return Line(depths, sizes, losses, -float(slope), [float(one) for one in np.array(losses) / said - 1])


def line_of_depths(ground: TrainingGround, size: Size) -> Line:
    """Train each depth with the defaults of everything else."""
    trials = []
    for depth in size.depths:
        trials.append(ground.trial(recipe_of(size, model={"use": size.model["use"], "depth": depth}), seed=1))
        print(f"  depth {depth}: {trials[-1].parameters} parameters, {trials[-1].bits_per_byte:.4f}", flush=True)
    return power_law(size.depths, trials)


def figures(sweeps: Mapping[str, Sweep], found: Contest, line: Line) -> dict[str, Any]:
    """The last line, of whatever was measured."""
    ours, theirs = scores(found.muon), scores(found.adamw)
    missed = [name for name, holds in found.bars().items() if not holds]
    missed += [f"the best rate of {name} is at the end of its grid" for name, sweep in sweeps.items() if sweep.is_at_end]
    missed += [] if line.is_smooth else ["depths on a smooth curve"]
    return {
        "bench": "optimizers",
        "ours": round(statistics.mean(ours), 4),
        "peer": round(statistics.mean(theirs), 4),
        "ratio": round(statistics.mean(theirs) / statistics.mean(ours), 4),
        "unit": "bits per byte of held-out text, Muon and AdamW at equal steps; ratio is AdamW's over Muon's",
        "n": len(ours),
        "spread": f"Muon {min(ours):.4f} to {max(ours):.4f}, AdamW {min(theirs):.4f} to {max(theirs):.4f}",
        "machine": machine(),
        "equal_time": {
            "muon": [round(one, 4) for one in scores(found.muon_in_time)],
            "steps": found.steps_in_time,
            "step_time_ratio": round(found.step_ratio, 3),
        },
        "tuning_trials": {name: len(sweep.scores) for name, sweep in sweeps.items()},
        "depths": {
            "depth": list(line.depths),
            "parameters": line.parameters,
            "bits_per_byte": [round(one, 4) for one in line.losses],
            "power": round(line.power, 4),
            "residuals": [round(one, 5) for one in line.residuals],
            "smooth_means": f"falling, residuals within {SMOOTH}",
        },
        "missed": missed,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune, compare, climb; print tables and the JSON line."""
    parser = argparse.ArgumentParser(description="Muon beside AdamW, and four depths on a line")
    parser.add_argument("--quick", action="store_true", help="toy size: shows that it runs, measures nothing")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    os.environ.update(worker_environment())  # before torch is loaded: threads that sleep at a barrier
    with tempfile.TemporaryDirectory() as folder:
        ground = TrainingGround(Path(folder), vocabulary=size.vocabulary)
        print(f"{ground.counts['train_tokens']} tokens to train on, {ground.counts['held_out_bytes']} held-out bytes")
        print(f"tuning at seed 0, {size.steps} steps of {size.rows * size.width} tokens, bits per byte:")
        sweeps = {name: Sweep(name, ground, size) for name in SWEEPS}
        tuned = {name: sweep.best() for name, sweep in sweeps.items()}
        print(f"tuned: {json.dumps(tuned)}")
        found = contest(ground, size, tuned)
        in_time = ", ".join(f"{one:.4f}" for one in scores(found.muon_in_time))
        print(
            f"a step of Muon takes {found.step_ratio:.2f} of AdamW's; in the same time, {found.steps_in_time} steps: {in_time}"
        )
        print(f"depths, smooth if falling and within {SMOOTH:.0%} of a power law:")
        line = line_of_depths(ground, size)
        print(f"loss ~ parameters ** -{line.power:.4f}, residuals {', '.join(f'{one:+.3%}' for one in line.residuals)}")
    said = figures(sweeps, found, line)
    print(json.dumps(said))
    return 1 if said["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
