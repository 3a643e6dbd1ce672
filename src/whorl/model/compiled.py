"""model/compiled: blocks run as compiled code while training, where there is a compiler.

One piece of code serves all blocks that look alike. Every shape gets its own, never one for several: what a step computes must
not depend on which shapes came before it, or a resumed run would not equal one that never stopped. Scoring and decoding, which
see a new shape at every call, run as written, and so do blocks with experts: torch's tracer knows their grouped product in bf16
only. Parameters and modules keep their names; fused sums round differently, so
gradients are not those of uncompiled blocks to the bit.

`auto` compiles on a GPU (not measured) and not on a CPU: there the passes of model/fused, which a tracer cannot enter, beat
what it makes of their formulas. Measured on one core in bf16, 4 blocks of width 320, rows of 256 (2026-11-21): a step of
compiled blocks takes 1.4 times as long, after 10 to 30 s of compiling.
"""

import shutil
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from whorl.model.attention import Sight
from whorl.model.experts import Experts
from whorl.model.parallel import Choice
from whorl.model.transformer import Transformer

__all__ = ["compile_blocks"]

_BACKEND = "inductor"
_Forward = Callable[[Tensor, Sight], Tensor]


def compile_blocks(model: Transformer, wanted: bool | Literal["auto"] = "auto") -> Choice:  # noqa: FBT001 - a setting, not a flag
    """Compile the model's blocks if that is wanted and possible: `compiled`, or `as written`, and why.

    Compiling happens at the first step, one shape at a time. Comes after recompute and after the model is on its device.
    """
    device = model.head_weight.device
    if wanted == "auto" and device.type == "cpu":
        return Choice("as written", "on a CPU hand-written passes are faster than compiled ones; measured")
    if not wanted:
        return Choice("as written", "asked for")
    dense = [block for block in model.blocks if not isinstance(block.mlp, Experts)]
    fault = _fault(device) if dense else "every block has experts, whose products cannot be traced"
    if fault:
        return Choice("as written", fault)
    run: Any = torch.compile(_run, dynamic=False, backend=_BACKEND)
    for block in dense:
        trained: Any = partial(_trained, run, block.forward)  # an attribute where mypy sees a method
        block.forward = trained
    return Choice("compiled", "asked for" if wanted is True else f"{device.type} with a compiler")


def _run(forward: _Forward, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
    return forward(x, sight)


def _trained(
    run: Callable[[_Forward, Tensor, Sight], Tensor], forward: _Forward, x: Float[Tensor, "b t d"], sight: Sight
) -> Float[Tensor, "b t d"]:
    """The compiled block where gradients are wanted, the written one elsewhere."""
    return run(forward, x, sight) if torch.is_grad_enabled() else forward(x, sight)


def _fault(device: torch.device) -> str:
    """Why nothing can be compiled for this device; empty when it can. Asks for the compiler and tries it."""
    if device.type == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++")):
        return "no C++ compiler (g++ or clang++) found"
    try:
        torch.compile(torch.sin, dynamic=False, backend=_BACKEND)(torch.zeros(8, device=device))
    except (TorchDynamoException, ImportError, OSError) as fault:
        return f"compiling failed here: {' '.join(str(fault).split()[:40])}"
    return ""
