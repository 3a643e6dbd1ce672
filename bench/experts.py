"""bench/experts: tokens per CPU-second of a mixture's feed-forward, forward and backward, beside transformers' own.

Cases: 8 experts of which a token uses 2, and 64 and 128 narrow ones of which it uses 8; width 256, 4,096 tokens, bfloat16, one
thread; the same tokens, choices and weights. Arms take turns; medians. The peer is transformers' experts, the faster of its
loop and its grouped product. Beside it: our own loop over experts (the definition the grouped path is proved equal to), and a
dense feed-forward of as many multiplications, which no mixture can beat. `ratio` is that of the slowest case. Exits 1 when
outputs or gradients differ, a peer is missing, or the peer is faster.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from bench.machine import machine
from bench.peers import TRANSFORMERS, peer_python
from whorl.model.experts import Matrices, grouped, looped
from whorl.model.layers import gate_of
from whorl.model.router import Routing

SCRIPT = Path(__file__).parent / "peer_scripts" / "experts.py"
TOKENS, WIDTH = 4096, 256
ROUNDS, WARM = 15, 2
HOW = ("eager", "grouped_mm")
MAX_ERROR = 0.02  # relative, of bfloat16 sums in another order


class Case(NamedTuple):
    """How many experts, how many of them a token uses, and how wide one is."""

    experts: int
    top: int
    width: int

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"{self.top} of {self.experts} experts of width {self.width}"


CASES = (Case(8, 2, 512), Case(64, 8, 128), Case(128, 8, 64))
Mixture = Callable[[Tensor, Routing, Matrices], Tensor]


class Asked:
    """The peer's process; it waits on its input while others have their turn."""

    def __init__(self, python: Path, folder: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [str(python), str(SCRIPT), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def times(self, case: Case, how: str, passes: int) -> list[float]:
        """CPU-seconds of some passes. Raises RuntimeError when the peer ended."""
        assert self._process.stdin is not None, "opened with a pipe"
        assert self._process.stdout is not None, "opened with a pipe"
        self._process.stdin.write(json.dumps({"case": case.name, "how": how, "passes": passes}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the peer ended; see what it wrote above")
        return list(json.loads(line))

    def end(self) -> None:
        """Close its input and wait."""
        self._process.communicate()


def main() -> int:
    """Measure, print what was found, print the JSON line."""
    torch.set_num_threads(1)
    python = peer_python(*TRANSFORMERS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {case.name: _measured(case, python, folder) for case in CASES}
    missed = [fault for figures in found.values() for fault in figures["faults"]]
    print(json.dumps(_line(found) | {"missed": missed}))
    return 1 if missed or python is None else 0


def _measured(case: Case, python: Path | None, folder: Path) -> dict[str, Any]:
    tensors = _drawn(case)
    save_file(tensors, folder / f"{case.name}.safetensors")
    arms: dict[str, Callable[[], float]] = {
        "ours": lambda: _pass(grouped, tensors)[0],
        "our loop": lambda: _pass(looped, tensors)[0],
        "dense": lambda: _dense_pass(case),
    }
    peer = Asked(python, folder) if python else None
    if peer is not None:
        for how in HOW:
            arms[f"peer {how}"] = partial(_peer_seconds, peer, case, how)
    seconds = {name: [run() for _ in range(WARM)] for name, run in arms.items()}
    seconds = {name: [] for name in arms}
    for _ in range(ROUNDS):
        for name, run in arms.items():
            seconds[name].append(run())
    if peer is not None:
        peer.end()
    return _figures(case, seconds, _faults(case, tensors, folder) if peer else ["no peer"])


def _figures(case: Case, seconds: dict[str, list[float]], faults: list[str]) -> dict[str, Any]:
    median = {name: statistics.median(times) for name, times in seconds.items()}
    speeds = {name: TOKENS / value for name, value in median.items()}
    fastest = max((speeds[name], name) for name in speeds if name.startswith("peer")) if len(speeds) > 3 else (None, None)
    ratio = speeds["ours"] / fastest[0] if fastest[0] else None
    ratios = [times / ours for ours, times in zip(seconds["ours"], seconds.get(fastest[1] or "", []), strict=False)]
    for name, speed in speeds.items():
        print(f"{case.name:36s} {name:16s} {speed:12,.0f} tokens per CPU-second")
    slower = [f"{case.name}: ratio {ratio:.2f}, want at least 1"] if ratio is not None and ratio < 1 else []
    return {
        "ours": speeds["ours"],
        "peer": fastest[0],
        "peer_is": fastest[1],
        "ratio": ratio,
        "spread": [round(value, 3) for value in statistics.quantiles(ratios, n=4)[::2]] if ratios else None,
        "against_our_loop": speeds["ours"] / speeds["our loop"],
        "of_dense": speeds["ours"] / speeds["dense"],
        "faults": faults + slower,
    }


def _line(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    slowest = min(found.values(), key=lambda figures: figures["ratio"] or 0.0)
    return {
        "bench": "experts",
        "ours": slowest["ours"],
        "peer": slowest["peer"],
        "ratio": slowest["ratio"],
        "unit": "tokens per CPU-second, forward and backward, bfloat16; slowest of three cases",
        "n": ROUNDS,
        "spread": slowest["spread"],
        "machine": machine(),
        "cases": {name: {key: value for key, value in case.items() if key != "faults"} for name, case in found.items()},
        "peer_is": "transformers 5.23.0 MixtralExperts, the faster of eager and grouped_mm",
    }


def _drawn(case: Case) -> dict[str, Tensor]:
    """Tokens, unevenly liked experts, and weights of the size that training gives them."""
    draw = torch.Generator().manual_seed(case.experts)
    liked = torch.randn(TOKENS, case.experts, generator=draw) + 0.5 * torch.randn(case.experts, generator=draw)
    best = liked.softmax(-1).topk(case.top)
    shapes = {
        "x": (TOKENS, WIDTH),
        "upstream": (TOKENS, WIDTH),
        "gates": (case.experts, case.width, WIDTH),
        "ups": (case.experts, case.width, WIDTH),
        "downs": (case.experts, WIDTH, case.width),
    }
    scale = {"x": 1.0, "upstream": 1.0}
    drawn = {name: torch.randn(shape, generator=draw) * scale.get(name, 0.05) for name, shape in shapes.items()}
    return {**drawn, "chosen": best.indices, "weights": best.values / best.values.sum(-1, keepdim=True)}


def _peer_seconds(peer: Asked, case: Case, how: str) -> float:
    return peer.times(case, how, 1)[0]


def _pass(mixture: Mixture, tensors: dict[str, Tensor]) -> tuple[float, dict[str, Tensor]]:
    """CPU-seconds of one forward and backward pass, and what came out. Our weights are float32 and cast on the way."""
    leaves = {name: tensors[name].clone().requires_grad_() for name in ("gates", "ups", "downs", "weights")}
    x, upstream = tensors["x"].bfloat16().requires_grad_(), tensors["upstream"].bfloat16()
    began = time.process_time()
    inner = torch.cat([leaves["gates"].bfloat16(), leaves["ups"].bfloat16()], dim=1)
    matrices = Matrices(inner, gate_of("silu"), leaves["downs"].bfloat16())
    out = mixture(x, Routing(tensors["chosen"], leaves["weights"]), matrices)
    torch.autograd.backward(out, upstream)
    seconds = time.process_time() - began
    assert x.grad is not None, "the backward pass reaches the tokens"
    grads = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return seconds, {"out": out.detach(), "x": x.grad, **grads}


def _dense_pass(case: Case) -> float:
    """As many multiplications on rows that need no sorting, gathering or weighing."""
    draw = torch.Generator().manual_seed(1)
    rows = torch.randn(TOKENS * case.top, WIDTH, generator=draw).bfloat16().requires_grad_()
    inner = (0.05 * torch.randn(2 * case.width, WIDTH, generator=draw)).requires_grad_()
    down = (0.05 * torch.randn(WIDTH, case.width, generator=draw)).requires_grad_()
    upstream = torch.randn(TOKENS * case.top, WIDTH, generator=draw).bfloat16()
    began = time.process_time()
    between = gate_of("silu")(functional.linear(rows, inner.bfloat16()))
    torch.autograd.backward(functional.linear(between, down.bfloat16()), upstream)
    return time.process_time() - began


def _faults(case: Case, tensors: dict[str, Tensor], folder: Path) -> list[str]:
    """Where the peer's output or gradients are not ours."""
    ours = _pass(grouped, tensors)[1]
    faults = []
    for how in HOW:
        answer = load_file(folder / f"{case.name}-{how}.answer")
        for name, theirs in answer.items():
            error = float((ours[name].float() - theirs).norm() / theirs.norm())
            if error > MAX_ERROR:
                faults.append(f"{case.name}, {how}: {name} differs by {error:.3f}, want at most {MAX_ERROR}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
