"""bench/gpu_room: what the GPU benches share: token shards made on the spot, whorl's own loop over them, and the clock.

The text is what every Python installation has: the sources of its standard library and of its packages, encoded with a
vocabulary learnt from them; shards take at most 60 MB, and long runs read them several times. Loss on it says that training
works and that arms agree; it cannot be compared with losses on other text. Nothing here needs a network.
"""

import gc
import json
import statistics
import sysconfig
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bench.machine import machine
from whorl.core.seed import Seed
from whorl.model.attend import BackendName
from whorl.model.config import ModelConfig
from whorl.model.count import flops_per_token, parameters
from whorl.model.families import Family
from whorl.model.peak import Peak, measured_peak
from whorl.model.recompute import Recompute
from whorl.model.transformer import Transformer
from whorl.model.varlen import varlen_fault
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.loader import Loader
from whorl.tokens.sequences import text_sequences
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter, TokenShards
from whorl.train.loop import Pieces, train
from whorl.train.machinery import Machinery
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer
from whorl.train.timetable import Timetable
from whorl.train.weights import weights_of

__all__ = [
    "RISE_STEPS",
    "TOY",
    "Arm",
    "Clock",
    "Clocked",
    "Marks",
    "Room",
    "attention_of",
    "clocked",
    "device_line",
    "has_device",
    "line",
    "not_learnt",
    "peak_of",
    "room",
    "shape_line",
    "told",
    "unmeasured",
]

_SHARD_BYTES = 60_000_000
_BYTES_A_TOKEN = 2.5  # of Python sources at least, so that shards come out smaller
_LEARNT_FROM = 24_000_000  # bytes of text, spread over the whole
RISE_STEPS = 20  # of the learning rate, in every arm
_NO_DEVICE = "no CUDA device: not measured"


@dataclass(frozen=True)
class Room:
    """Where a bench trains: shards in a folder, a device, and sizes for it."""

    folder: Path
    device: torch.device
    vocab_size: int  # of the models: the tokenizer's, padded to a multiple of 64
    num_tokens: int

    def loader(self, rows: int, width: int) -> Loader:
        """Packed rows of the shards, shuffled."""
        return Loader(text_sequences(TokenShards.open(self.folder, "train")), rows=rows, width=width, seed=Seed(7))

    @property
    def text(self) -> str:
        """What the loss is of."""
        return f"Python sources of this installation, {self.num_tokens / 1e6:.3g}M tokens"


def room(folder: Path, *, is_check: bool) -> Room:
    """Write the shards; on the first GPU, or for a check a few of them on the CPU."""
    size, num_bytes = (512, 400_000) if is_check else (50_304, int(_SHARD_BYTES / 2 * _BYTES_A_TOKEN))
    documents = list(_sources(num_bytes))
    stride = max(1, num_bytes // _LEARNT_FROM)
    tokenizer = learn_tokenizer((text for _, text in documents[::stride]), size=size)
    tokenizer.save(folder / TOKENIZER_FOLDER)
    with ShardWriter(folder / "train", tokenizer) as writer:
        for start in range(0, len(documents), 256):  # encoding widens what it is given at once
            names, texts = zip(*documents[start : start + 256], strict=True)
            writer.add(names, texts)
    shards = TokenShards.open(folder, "train")
    assert shards.ids.nbytes <= _SHARD_BYTES, f"{shards.ids.nbytes} bytes of ids"
    return Room(folder, torch.device("cpu" if is_check else "cuda"), -(-tokenizer.size // 64) * 64, shards.num_tokens)


def _sources(num_bytes: int) -> Iterator[tuple[str, str]]:
    """Name and text of source files, sorted, until so many bytes are read; what is not UTF-8 is passed over."""
    places = sysconfig.get_paths()
    seen: set[Path] = set()
    for key in ("stdlib", "purelib", "platlib"):
        for path in sorted(Path(places[key]).rglob("*.py")):
            if path in seen or num_bytes <= 0:
                continue
            seen.add(path)
            try:
                text = path.read_bytes().decode()
            except (UnicodeDecodeError, OSError):
                continue
            if text and len(text) < 500_000:
                num_bytes -= len(text.encode())
                yield f"{key}/{path.relative_to(places[key])}", text


@dataclass(frozen=True)
class Arm:
    """One way of training one shape."""

    family: dict[str, Any]  # as a recipe would write it
    width: int  # tokens of a row
    rows: int  # per step
    micro_rows: int
    optimizer: dict[str, Any] = field(default_factory=lambda: {"use": "adamw", "rate": 6e-4})
    objective: Objective = field(default_factory=lambda: Objective.model_validate({"use": "next_token"}))
    backend: BackendName = "auto"
    is_compiled: bool = True
    recompute: Recompute = "none"
    is_fp8: bool = False

    def toy(self) -> "Arm":
        """The same, small enough for a CPU in a test."""
        family = {**self.family, "depth": 2, "width": 64, "heads": 4, "mlp_width": 128}
        family |= {"kv_heads": 2} if "kv_heads" in family else {}
        family |= {"head_dim": 16} if "head_dim" in family else {}
        small = replace(self, family=family, width=32, rows=4, micro_rows=2)
        return replace(small, optimizer={**self.optimizer, "rate": 0.01}, is_compiled=False, is_fp8=False)

    def config(self, vocab_size: int) -> ModelConfig:
        """The architecture."""
        return Family.model_validate(self.family).configure(vocab_size, self.width)


class Marks(NamedTuple):
    """Steps in all, before the clock starts, and of each stretch between two waits for the device."""

    steps: int
    warm_up: int
    stretch: int


@dataclass(frozen=True)
class Clocked:
    """What one arm did. Losses are nats per target, step by step; rates are of stretches between two waits for the device."""

    losses: list[float]
    rates: list[float]  # tokens a second
    first_step_s: float  # with compilation, where there is any
    peak_bytes: int
    flops_per_token: int

    @property
    def rate(self) -> float:
        """Tokens a second, median."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> list[int]:
        """Slowest and fastest stretch."""
        return [round(min(self.rates)), round(max(self.rates))]

    @property
    def has_learnt(self) -> bool:
        """Whether loss is finite and fell: a speed means nothing otherwise."""
        return self.losses[-1] < self.losses[0]

    def figures(self, peak: Peak) -> dict[str, Any]:
        """For the JSON line; `mfu` is of the vendor's dense figure for bfloat16."""
        done = self.rate * self.flops_per_token
        return {
            "tokens_per_s": round(self.rate),
            "spread": self.spread,
            "mfu": peak.vendor_flops and round(done / peak.vendor_flops, 4),
            "mfu_of_measured": round(done / peak.flops, 4),
            "peak_memory_gb": round(self.peak_bytes / 1e9, 2),
            "first_step_s": round(self.first_step_s, 1),
            "loss_first": round(self.losses[0], 4),
            "loss_last": round(self.losses[-1], 4),
        }


def pieces_of(arm: Arm, found: Room, steps: int) -> Pieces:
    """A fresh model on the device, ready for the loop; weights equal for equal shapes."""
    model = Transformer.fresh(arm.config(found.vocab_size), Seed(7), device=found.device.type)
    machinery = Machinery(torch.bfloat16, arm.is_fp8, arm.backend, 0.0, arm.recompute, arm.is_compiled)
    choice = machinery.set_up(model, arm.width)
    if arm.is_compiled and choice.name != "compiled":
        print(f"not compiled: {choice.why}")
    optimizer = Optimizer.model_validate(arm.optimizer)
    timetable = Timetable(steps, rows=arm.rows, width=arm.width)
    return Pieces(
        model=model,
        objective=arm.objective,
        stepper=optimizer.build(weights_of(model), model.compute_dtype),
        factor=lambda step: min(1.0, (step + 1) / RISE_STEPS),
        moment_of=timetable.moment,
        batch_of=found.loader(arm.rows, arm.width).batch,
        num_steps=steps,
        micro_rows=arm.micro_rows,
        clip=1.0,
    )


TOY = Marks(steps=13, warm_up=1, stretch=3)


class Clock:
    """Times one arm, whoever loops. Waits for the device after the first step and then once a stretch, as a real run does."""

    def __init__(self, device: torch.device, marks: Marks) -> None:
        """Frees what earlier arms held; the first step begins now."""
        free(device)
        self._device, self._marks = device, marks
        self._losses: list[torch.Tensor] = []
        self._ends: list[float] = []
        self._first_step_s = 0.0
        self._began = time.perf_counter()

    def tick(self, number: int, loss: torch.Tensor) -> None:
        """Step `number` (from 1) has been asked of the device."""
        self._losses.append(loss)
        if number == 1:
            wait(self._device)
            self._first_step_s = time.perf_counter() - self._began
        if number >= self._marks.warm_up and (number - self._marks.warm_up) % self._marks.stretch == 0:
            wait(self._device)
            self._ends.append(time.perf_counter())

    def done(self, tokens_per_step: int, flops: int) -> Clocked:
        """What was timed; `flops` for one token."""
        peak_bytes = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else 0
        tokens = self._marks.stretch * tokens_per_step
        rates = [tokens / (later - earlier) for earlier, later in pairwise(self._ends)]
        return Clocked(torch.stack(self._losses).tolist(), rates, self._first_step_s, peak_bytes, flops)


def clocked(arm: Arm, found: Room, marks: Marks) -> Clocked:
    """Train an arm by whorl's loop."""
    clock = Clock(found.device, marks)
    pieces = pieces_of(arm, found, marks.steps)
    for step in train(pieces, 0):
        clock.tick(step.number, step.nats / max(1, step.num_targets))
    return clock.done(arm.rows * arm.width, flops_per_token(pieces.model.config, arm.width))


def wait(device: torch.device) -> None:
    """Until the device has done everything it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free(device: torch.device) -> None:
    """Give back what an earlier arm held and compiled, and count peak memory from here on."""
    gc.collect()
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def attention_of(found: Room) -> BackendName:
    """The backend that skips what documents do not see, where it runs; else what `auto` picks."""
    return "auto" if varlen_fault(found.device, torch.bfloat16) else "varlen"


def peak_of(found: Room) -> Peak:
    """Of the device, in the precision every arm computes in."""
    return measured_peak(found.device, torch.bfloat16)


def told(arms: Mapping[str, Clocked], peak: Peak) -> dict[str, dict[str, Any]]:
    """The figures of every arm, printed as a table on the way."""
    figures = {name: arm.figures(peak) for name, arm in arms.items()}
    names = list(next(iter(figures.values())))
    print("  ".join(["arm".rjust(20), *names]))
    for name, found in figures.items():
        print("  ".join([name.rjust(20), *(str(found[key]).rjust(len(key)) for key in names)]))
    return figures


def not_learnt(arms: Mapping[str, Clocked]) -> list[str]:
    """A complaint for every arm whose loss did not fall."""
    return [
        f"{name}: loss went from {arm.losses[0]:.3f} to {arm.losses[-1]:.3f}"
        for name, arm in arms.items()
        if not arm.has_learnt
    ]


def line(bench: str, figures: Mapping[str, Any], missed: list[str], *, is_check: bool) -> int:
    """Print the JSON line; the exit code. A check says that the path runs and claims no figure."""
    claims = dict.fromkeys(name for name in figures if name in ("ours", "peer", "spread") or name.startswith("ratio"))
    said = {"bench": bench, **figures, **(claims if is_check else {}), "is_check": is_check}
    print(json.dumps({**said, "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def has_device() -> bool:
    """Whether there is a GPU to measure."""
    return torch.cuda.is_available()


def unmeasured(bench: str, unit: str) -> int:
    """Say so where there is no GPU; the exit code."""
    nothing = dict.fromkeys(("ours", "peer", "ratio", "spread"))
    return line(bench, {**nothing, "unit": unit, "n": 0}, [_NO_DEVICE], is_check=False)


def device_line(device: torch.device) -> str:
    """The GPU by name and memory, the versions that matter, and the day."""
    if device.type != "cuda":
        return f"a check on the CPU, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
    found = torch.cuda.get_device_properties(device)
    versions = f"CUDA {torch.version.cuda}, torch {torch.__version__}"
    return f"{found.name}, {found.total_memory / 2**30:.0f} GiB, {versions}, {time.strftime('%Y-%m-%d')}"


def shape_line(arm: Arm, vocab_size: int) -> str:
    """Parameters, sizes and attention, for people."""
    total = parameters(arm.config(vocab_size)).total / 1e6
    sizes = f"rows of {arm.width}, {arm.rows * arm.width} tokens a step, {arm.micro_rows} rows at once"
    return f"{total:.1f}M parameters, {sizes}, attention {arm.backend}"
