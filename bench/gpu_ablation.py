"""bench/gpu_ablation: what compiling, the chunked loss, recomputation and eight-bit products each buy, on one GPU.

One shape (360 million parameters, rows of 2,048), one change at a time from the base: compiled blocks, varlen attention,
chunked cross-entropy, nothing computed again, bfloat16. Tokens a second, peak memory and loss after equally many steps on the
same rows. `ratio` is the base against the base without compiling; fp8 needs a GPU with the units (Ada, Hopper) and is left
out, saying so, elsewhere. Aims: compiling +16 %, fp8 +15 % at a billion parameters (`--shape 1b`); a miss is printed, not
hidden. Needs one GPU of 80 GB; `--check` runs the same path on a CPU with a toy and measures nothing.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from bench.gpu_1b import LLAMA
from bench.gpu_room import (
    TOY,
    Arm,
    Clocked,
    Marks,
    Room,
    attention_of,
    clocked,
    device_line,
    has_device,
    line,
    not_learnt,
    peak_of,
    room,
    shape_line,
    told,
    unmeasured,
)
from whorl.core.config import Part
from whorl.core.errors import ResourceError
from whorl.model.fp8 import check_units
from whorl.model.transformer import Transformer
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows
from whorl.train.nats import hidden_states
from whorl.train.objectives import Material, Objective

UNIT = "tokens a second"
MEDIUM = Arm(
    {"use": "llama", "depth": 24, "width": 1024, "heads": 16, "kv_heads": 16, "head_dim": 64, "mlp_width": 2816},
    width=2048,
    rows=16,
    micro_rows=8,
)
SHAPES = {"350m": MEDIUM, "1b": LLAMA}
MARKS = Marks(steps=31, warm_up=11, stretch=5)
GAPS = {"fp8": 0.2}  # nats from the base after as many steps on the same rows: every arm must train, and alike
GAP = 0.1
AIMS = {"not compiled": 1.16, "fp8": 1.15}  # how much faster with than without


class WholeLogits(Objective):
    """Next-token loss as a short script writes it: all logits at once, in float32."""

    reads = "tokens"

    def material(self, folder: Path, part: Part, tokenizer: Tokenizer) -> Material:
        """As next_token reads it."""
        return Objective.model_validate({"use": "next_token"}).material(folder, part, tokenizer)

    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """See Objective.loss."""
        logits = model.head(hidden_states(model, rows)).float()
        nats = functional.cross_entropy(logits, rows.targets.flatten(), reduction="none")
        return (nats * rows.weights.flatten()).sum()


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, print the JSON line."""
    parser = argparse.ArgumentParser(description="what each option buys on one GPU")
    parser.add_argument("--check", action="store_true", help="a toy on the CPU; measures nothing")
    parser.add_argument("--shape", choices=SHAPES, default="350m")
    asked = parser.parse_args(arguments)
    if not (asked.check or has_device()):
        return unmeasured("gpu_ablation", UNIT)
    with tempfile.TemporaryDirectory() as name:
        found = room(Path(name), is_check=asked.check)
        base = SHAPES[asked.shape]
        base = base.toy() if asked.check else replace(base, backend=attention_of(found))
        print(f"{device_line(found.device)}\n{found.text}\n{shape_line(base, found.vocab_size)}")
        arms = {}
        for label, arm in _arms(base, has_units=_has_units(found)).items():
            arms[label] = clocked(arm, found, TOY if asked.check else MARKS)
            print(f"{label}: {arms[label].rate:.0f} tokens a second")
        figures = {"arms": told(arms, peak_of(found)), "device": device_line(found.device), "text": found.text}
    missed = not_learnt(arms) + _apart(arms)
    return line("gpu_ablation", figures | _headline(arms) | {"shape": asked.shape}, missed, is_check=asked.check)


def _arms(base: Arm, *, has_units: bool) -> dict[str, Arm]:
    """The base, and each change from it by itself."""
    arms = {
        "base": base,
        "not compiled": replace(base, is_compiled=False),
        "whole logits": replace(base, objective=WholeLogits()),
        "selective": replace(base, recompute="selective"),
        "full": replace(base, recompute="full"),
    }
    if base.backend != "auto":
        arms |= {"attention sdpa": replace(base, backend="sdpa"), "attention flex": replace(base, backend="flex")}
    return arms | ({"fp8": replace(base, is_fp8=True)} if has_units else {})


def _has_units(found: Room) -> bool:
    try:
        check_units(found.device)
    except ResourceError as error:
        print(f"fp8 is not measured: {error}")
        return False
    return True


def _headline(arms: dict[str, Clocked]) -> dict[str, Any]:
    base, slow = arms["base"], arms["not compiled"]
    gains = {name: round(arm.rate / base.rate, 3) for name, arm in arms.items()}
    memory = {name: round(arm.peak_bytes / max(1, base.peak_bytes), 3) for name, arm in arms.items()}
    reached = {**gains, "not compiled": round(base.rate / slow.rate, 3)}
    missed_aims = {name: aim for name, aim in AIMS.items() if reached.get(name, aim) < aim}
    return {
        "ours": round(base.rate),
        "peer": round(slow.rate),
        "ratio": round(base.rate / slow.rate, 3),
        "unit": UNIT,
        "n": len(base.rates),
        "spread": base.spread,
        "peer_is": "the same without compiling",
        "ratios_of_speed_to_base": gains,
        "ratios_of_memory_to_base": memory,
        "aims_missed": [f"{name}: {reached[name]} < {aim}" for name, aim in missed_aims.items()],
    }


def _apart(arms: dict[str, Clocked]) -> list[str]:
    """A complaint for every arm that ended elsewhere than the base: it did not do the same work."""
    last = arms["base"].losses[-1]
    gaps = {name: abs(arm.losses[-1] - last) for name, arm in arms.items()}
    return [f"{name} ends {gap:.3f} nats from the base" for name, gap in gaps.items() if gap > GAPS.get(name, GAP)]


if __name__ == "__main__":
    sys.exit(main())
