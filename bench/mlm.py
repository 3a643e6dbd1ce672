"""bench/mlm: a ModernBERT-shaped model filling gaps, against transformers' own ModernBertForMaskedLM: speed, and the same loss.

About 7 M parameters, 4 rows of 512 tokens (two layers of five see everything, the others 64 tokens to each side), 30 % hidden,
text of Python's own library. Every arm starts from the same weights, reads the same rows with the same gaps, computes in the
same dtype with the same AdamW, and is a process of its own that takes turns with the others on the same cores. The peer is
asked to be fast in every way it offers without another package: both its kinds of attention, `sparse_prediction` (the head on
hidden places only), torch.compile; `peer` is the fastest of these. `ratio_as_it_comes` is against the way it chooses by itself,
`ratio_16_rows_of_128` against the fastest in rows so short that the window is hardly one. Rows are one document each and full,
because the peer would need a mask to read packed ones.
Loss: the mean of the last steps, for three seeds (weights, order of rows and gaps); the means of the two may differ by less
than the spread of the seeds. Exits 1 when it does not, the peer is missing, or the ratio is below the bar.
"""

import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from bench.machine import machine
from bench.peers import TRANSFORMERS, peer_python
from whorl.core.seed import Seed
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.parallel import pick_dtype
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import Tokenizer

SCRIPTS = Path(__file__).parent / "peer_scripts"
MIN_RATIO = 1.2
SHAPE = {"depth": 5, "width": 320, "heads": 5, "mlp_width": 512, "window": 128, "global_every": 3, "zero_outputs": False}
VOCABULARY, SEEDS = 8192, (1, 2, 3)
LONG, SHORT = (4, 512), (16, 128)  # rows and their width; as many tokens a step
STEPS, LAST, WARM, TURNS, STEPS_A_TURN, TRIAL = 110, 20, 10, 12, 5, 8
SETTINGS = {"rate": 1e-3, "betas": [0.9, 0.98], "eps": 1e-6, "decay": 0.01, "clip": 1.0, "threads": 2}
DEFAULT = "as it comes"
WAYS = {
    DEFAULT: {"attention": "sdpa", "sparse": False, "compiled": False},
    "eager attention": {"attention": "eager", "sparse": False, "compiled": False},
    "sparse": {"attention": "sdpa", "sparse": True, "compiled": False},
    "sparse, eager attention": {"attention": "eager", "sparse": True, "compiled": False},
    "sparse, eager attention, compiled": {"attention": "eager", "sparse": True, "compiled": True},
}


class Arm:
    """A process that trains when it is told to."""

    def __init__(self, python: Path, script: str, task: Mapping[str, Any]) -> None:
        """Start it and wait until it is built."""
        command = [str(python), str(SCRIPTS / script)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self._ask(json.dumps(task))
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)

    def turn(self, steps: int, *, timed: bool = True) -> float:
        """So many steps; the seconds of one."""
        self._ask(str(steps))
        said = self._answer()
        self.losses += said["losses"]
        self.seconds += said["seconds"] if timed else []
        return float(statistics.median(said["seconds"]))

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None, "an arm is told on its standard input"
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "an arm answers on its standard output"
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"an arm ended with {self._process.wait()}")
        return dict(json.loads(line))


class Run(NamedTuple):
    """One seed: what both arms are given."""

    task: Mapping[str, Any]

    def ours(self) -> Arm:
        """Whorl's arm, ready."""
        return Arm(Path(sys.executable), "mlm_ours.py", self.task)

    def peers(self, python: Path, way: str) -> Arm:
        """The peer's arm, asked to be one way, ready."""
        return Arm(python, "mlm_peer.py", {**self.task, **WAYS[way]})


class Speed(NamedTuple):
    """Both arms at one shape of rows."""

    ways: Mapping[str, float]  # of the peer: median seconds of a step, alone
    best: str
    seconds: Mapping[str, Sequence[float]]  # by arm, of steps taken in turns
    losses: Mapping[str, Sequence[float]]
    facts: Mapping[str, Any]

    def pairs(self, name: str = "peer") -> list[float]:
        """How many times longer an arm took than ours, step by step."""
        return [theirs / ours for ours, theirs in zip(self.seconds["ours"], self.seconds[name], strict=True)]

    def ratio(self, name: str = "peer") -> float:
        """The median of these."""
        return round(statistics.median(self.pairs(name)), 2)


def main() -> int:
    """Measure, print what was found, print the JSON line."""
    python = peer_python(*TRANSFORMERS)
    with tempfile.TemporaryDirectory() as name:
        tokenizer = _text(Path(name))
        runs = [_run(Path(name), seed, tokenizer, LONG) for seed in SEEDS]
        short = _run(Path(name), SEEDS[0], tokenizer, SHORT)
        found = _alone(runs[0]) if python is None else _compared(runs, short, python)
    missed = [] if found["peer"] else ["no peer"]
    if found["ratio"] is not None and found["ratio"] < MIN_RATIO:
        missed.append(f"ratio {found['ratio']} < {MIN_RATIO}")
    if python is not None and not found["loss"]["is_same"]:
        missed.append("loss differs by more than seeds do")
    print(json.dumps({"bench": "mlm", **found, "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def _compared(runs: Sequence[Run], short: Run, python: Path) -> dict[str, Any]:
    long_rows, short_rows = _speed(runs[0], python), _speed(short, python)
    curves = {name: [long_rows.losses[name]] for name in ("ours", "peer")}
    for run in runs[1:]:
        with run.ours() as mine, run.peers(python, long_rows.best) as other:
            for name, arm in {"ours": mine, "peer": other}.items():
                arm.turn(STEPS)
                curves[name].append(arm.losses)
    tokens = LONG[0] * LONG[1]
    ours, theirs = (statistics.median(long_rows.seconds[name]) for name in ("ours", "peer"))
    return {
        "ours": round(tokens / ours),
        "peer": round(tokens / theirs),
        "ratio": long_rows.ratio(),
        "unit": "tokens/s, two cores",
        "n": len(long_rows.pairs()),
        "spread": [round(float(quantile), 2) for quantile in np.quantile(long_rows.pairs(), [0.1, 0.9])],
        "peer_is": f"transformers 5.23.0 ModernBertForMaskedLM, {long_rows.best}, fused AdamW",
        "ratio_as_it_comes": long_rows.ratio(DEFAULT),
        "ratio_16_rows_of_128": short_rows.ratio(),
        "peer_ms_a_step": {way: round(1000 * seconds, 1) for way, seconds in long_rows.ways.items()},
        "dtype": runs[0].task["dtype"],
        **long_rows.facts,
        "loss": _losses(curves),
    }


def _speed(run: Run, python: Path) -> Speed:
    """The peer's fastest way, then that, its default and ours in turns. Compiling takes a minute: long rows only."""
    shape = f"{run.task['rows']} rows of {run.task['width']}"
    tried = [way for way, how in WAYS.items() if not how["compiled"] or run.task["width"] == LONG[1]]
    ways = {way: _trial(run.peers(python, way)) for way in tried}
    for way, seconds in ways.items():
        print(f"{shape}, transformers, {way}: {1000 * seconds:.0f} ms a step")
    best = min(ways, key=lambda way: ways[way])
    with run.ours() as ours, run.peers(python, best) as theirs, run.peers(python, DEFAULT) as default:
        arms = {"ours": ours, "peer": theirs, DEFAULT: default}
        _interleaved(arms)
        assert ours.facts["parameters"] == theirs.facts["parameters"], "both arms hold the same weights"
        facts = {"parameters": ours.facts["parameters"], "torch": [ours.facts["torch"], theirs.facts["torch"]]}
    taken = {name: arm.seconds for name, arm in arms.items()}
    for name, each in taken.items():
        print(f"{shape}, {name}: {1000 * statistics.median(each):.0f} ms a step")
    return Speed(ways, best, taken, {name: arm.losses for name, arm in arms.items()}, facts)


def _alone(run: Run) -> dict[str, Any]:
    with run.ours() as ours:
        ours.turn(WARM, timed=False)
        ours.turn(TURNS * STEPS_A_TURN)
    rate = round(LONG[0] * LONG[1] / statistics.median(ours.seconds))
    return {"ours": rate, "peer": None, "ratio": None, "unit": "tokens/s, two cores", "n": len(ours.seconds), "spread": None}


def _trial(arm: Arm) -> float:
    """Median seconds of a step after the first few, which may compile."""
    with arm:
        arm.turn(TRIAL // 2, timed=False)
        return arm.turn(TRIAL)


def _interleaved(arms: Mapping[str, Arm]) -> None:
    """Timed in turns, in changing order; then those whose loss is compared go on to the last step."""
    for arm in arms.values():
        arm.turn(WARM, timed=False)
    for number in range(TURNS):
        for name in list(arms)[:: 1 if number % 2 else -1]:
            arms[name].turn(STEPS_A_TURN)
    for name in ("ours", "peer"):
        arms[name].turn(STEPS - WARM - TURNS * STEPS_A_TURN, timed=False)


def _losses(curves: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """The mean of the last steps of each seed; and how far apart two arms are at any step."""
    ends = {name: [statistics.fmean(curve[-LAST:]) for curve in each] for name, each in curves.items()}
    spread = max(ends["ours"]) - min(ends["ours"])
    apart = abs(statistics.fmean(ends["ours"]) - statistics.fmean(ends["peer"]))
    first = [abs(a[0] - b[0]) for a, b in zip(curves["ours"], curves["peer"], strict=True)]
    print(f"loss after {STEPS} steps: {ends}; means differ by {apart:.5f}, seeds by {spread:.5f}")
    return {
        **{name: [round(end, 4) for end in each] for name, each in ends.items()},
        "means_differ_by": round(apart, 5),
        "seeds_differ_by": round(spread, 5),
        "first_step_differs_by": round(max(first), 6),
        "before": round(statistics.fmean(curve[0] for curve in curves["ours"]), 4),
        "is_same": apart < spread,
    }


def _text(folder: Path) -> Tokenizer:
    """Text and vocabulary, written once: rows of either shape are cut from the same ids."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    tokenizer = learn_tokenizer(texts, size=VOCABULARY, mask=True)
    tokenizer.save(folder / "tokenizer")
    ids = np.concatenate([np.array([tokenizer.bos, *tokenizer.encode(text), tokenizer.end]) for text in texts])
    np.save(folder / "flat_ids.npy", ids.astype(np.int32))
    for width in (LONG[1], SHORT[1]):
        np.save(folder / f"lengths-{width}.npy", np.full(len(ids) // width, width, np.int64))
    print(f"{len(texts)} files, {len(ids)} tokens, vocabulary {tokenizer.size}")
    return tokenizer


def _run(folder: Path, seed: int, tokenizer: Tokenizer, shape: tuple[int, int]) -> Run:
    """Weights, rows and gaps of a seed."""
    rows, width = shape
    name = f"{width}-{seed}"
    config = Family.model_validate({"use": "modernbert", **SHAPE}).configure(tokenizer.size, width)
    checkpoint.save(folder / f"start-{name}", Transformer.fresh(config, Seed(seed)), family="modernbert")
    task: dict[str, Any] = {**SETTINGS, "seed": seed, "rows": rows, "width": width, "dtype": pick_dtype("auto").name}
    task["factors"] = [min(1.0, (step + 1) / 20) for step in range(STEPS)]
    task |= {"start": str(folder / f"start-{name}"), "tokenizer": str(folder / "tokenizer")}
    task |= {"flat_ids": str(folder / "flat_ids.npy"), "lengths": str(folder / f"lengths-{width}.npy")}
    task |= {drawn: str(folder / f"{drawn}-{name}.npy") for drawn in ("ids", "targets")}
    subprocess.run([sys.executable, str(SCRIPTS / "mlm_rows.py"), json.dumps(task)], check=True)
    return Run(task)


if __name__ == "__main__":
    sys.exit(main())
