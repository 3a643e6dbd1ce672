"""bench/peer_scripts/decode_linears: one token through every matrix of a model, in bf16, int8 and int4; ours and the bare.

Ours: the packed twin's own products, through the modules that call them, as a step of the engine does. Bare: torch's operator
of that format on matrices of the same shapes, nothing around it; for bfloat16 torch's linear. All of a model's matrices one
after another, so that none stays in the processor's memory; arms in turns. Asked `{"folder", "threads", "seconds"}` on standard
input.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from whorl.model.checkpoint import load
from whorl.model.packed import pack
from whorl.model.parallel import set_threads
from whorl.model.transformer import Transformer

GROUP = 32
FORMATS = ("int8", "int4")
FEWEST_ROUNDS = 5

Call = Callable[[], object]


def shapes(model: Transformer) -> list[tuple[int, int]]:
    """(out, in) of every matrix as it is multiplied with: maps of one input are one."""
    config = model.config
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    block = [
        (q + 2 * kv, config.width),
        (config.width, q),
        (2 * config.mlp_width, config.width),
        (config.width, config.mlp_width),
    ]
    return [*(block * config.depth), (config.vocab_size, config.width)]


def through_modules(model: Transformer, weights: Any) -> list[Call]:
    """Every product of a twin in that format."""
    twin, config = model.twin(), model.config
    packing = pack(twin, weights)
    assert not packing.fallen, f"{weights} does not take {packing.fallen}"
    calls: list[Call] = []
    inner = config.heads * config.head_dim
    for block in twin.blocks:
        attn, mlp = block.get_submodule("attn"), block.get_submodule("mlp")
        calls += [
            partial(_shared, attn, ("q", "k", "v"), _token(config.width)),
            partial(attn.get_submodule("o"), _token(inner)),
            partial(_shared, mlp, ("gate", "up"), _token(config.width)),
            partial(mlp.get_submodule("down"), _token(config.mlp_width)),
        ]
    return [*calls, partial(twin.logits, _token(config.width)[0])]


def _shared(module: Any, names: tuple[str, ...], x: Tensor) -> Tensor:
    """The product of maps of one input, called as the module calls it."""
    maps = [module.get_submodule(name) for name in names]
    out: Tensor = module.product(x, tuple(one.weight for one in maps), tuple(one.bias for one in maps))
    return out


def bare(sides: list[tuple[int, int]], weights: str) -> list[Call]:
    """torch's operator on random matrices of these shapes."""
    make = {"bf16": _bare_bf16, "int8": _bare_int8, "int4": _bare_int4}[weights]
    return [make(o, i) for o, i in sides]


def _bare_bf16(o: int, i: int) -> Call:
    return partial(functional.linear, _token(i)[0], torch.randn(o, i).to(torch.bfloat16))


def _bare_int8(o: int, i: int) -> Call:
    weight = torch.randint(-127, 128, (o, i), dtype=torch.int8)
    return partial(torch._weight_int8pack_mm, _token(i)[0], weight, torch.rand(o).to(torch.bfloat16))


def _bare_int4(o: int, i: int) -> Call:
    packed = torch._convert_weight_to_int4pack_for_cpu(torch.randint(0, 16, (o, i), dtype=torch.int32), 1)
    both = torch.rand(i // GROUP, o, 2).to(torch.bfloat16)
    return partial(torch.ops.aten._weight_int4pack_mm_for_cpu, _token(i)[0], packed, GROUP, both)


def _token(width: int) -> Tensor:
    return torch.randn(1, 1, width).to(torch.bfloat16)


def sweep_s(calls: list[Call]) -> float:
    """Seconds of all of them."""
    begin = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - begin


def measured(arms: Mapping[str, list[Call]], seconds: float) -> dict[str, list[float]]:
    """Seconds of a sweep in every round, arms in turns."""
    for calls in arms.values():
        sweep_s(calls)
    taken: dict[str, list[float]] = {name: [] for name in arms}
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(taken[next(iter(arms))]) < FEWEST_ROUNDS:
        for name, calls in arms.items():
            taken[name].append(sweep_s(calls))
    return taken


def compared(taken: Mapping[str, list[float]], weights: str) -> dict[str, float]:
    """How many times as fast as bfloat16, medians over rounds; `share` is our part of the bare product's gain."""
    gains = {
        "bare_over_bare_bf16": _gain(taken, "bare bf16", f"bare {weights}"),
        "ours_over_bare_bf16": _gain(taken, "bare bf16", f"ours {weights}"),
        "ours_over_our_bf16": _gain(taken, "ours bf16", f"ours {weights}"),
        "share": _gain(taken, f"bare {weights}", f"ours {weights}"),
    }
    return {name: round(gain, 3) for name, gain in gains.items()}


def _gain(taken: Mapping[str, list[float]], slow: str, fast: str) -> float:
    return statistics.median(a / b for a, b in zip(taken[slow], taken[fast], strict=True))


@torch.inference_mode()
def main() -> None:
    """Measure all arms."""
    asked = json.loads(sys.stdin.readline())
    set_threads(asked["threads"])
    torch.manual_seed(0)
    model = load(Path(asked["folder"]), dtype=torch.bfloat16).model
    sides = shapes(model)
    arms = {
        **{f"ours {weights}": through_modules(model, weights) for weights in ("bf16", *FORMATS)},
        **{f"bare {weights}": bare(sides, weights) for weights in ("bf16", *FORMATS)},
    }
    taken = measured(arms, asked["seconds"])
    milliseconds = {name: round(statistics.median(each) * 1e3, 3) for name, each in taken.items()}
    found = {"formats": {weights: compared(taken, weights) for weights in FORMATS}, "ms_per_token": milliseconds}
    sys.stdout.write(json.dumps({**found, "rounds": len(taken["ours bf16"])}) + "\n")


if __name__ == "__main__":
    main()
