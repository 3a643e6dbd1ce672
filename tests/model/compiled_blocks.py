"""Compiles toy models and says what came of it, as JSON; a process of its own, because checked shapes cannot be traced.

python compiled_blocks.py BACKEND: aot_eager (everything but the C++ compiler) or inductor.
"""

import copy
import json
import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from toy_models import filled_model, tiny_config

from whorl.model import compiled
from whorl.model.compiled import compile_blocks
from whorl.model.mask import MaskSpec
from whorl.model.recompute import recompute
from whorl.model.transformer import Transformer

DOCS = torch.tensor([[0] * 5 + [1] * 9 + [-1] * 2, [0] * 16])
IDS = torch.from_numpy(np.random.default_rng(1).integers(0, 61, (2, 16)))
CASES = (
    ("llama", "none"),
    ("llama", "selective"),
    ("llama", "full"),
    ("qwen3", "none"),
    ("modernbert", "none"),
    ("qwen3_moe", "none"),
)


def gradients(model: Transformer) -> Mapping[str, Tensor]:
    """Of a sum of hidden states, dropout drawn from a fixed seed."""
    torch.manual_seed(3)
    model.zero_grad(set_to_none=True)
    hidden = model(IDS, mask=MaskSpec(docs=DOCS))
    (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def worst(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The largest difference, against the largest number of the same gradient."""
    assert wanted.keys() == found.keys()
    return max(float((found[name] - one).abs().max() / (one.abs().max() + 1e-6)) for name, one in wanted.items())


def case(family: str, mode: str) -> dict[str, object]:
    torch._dynamo.reset()
    counters.clear()
    model = filled_model(tiny_config(family, **({"dense_layers": (0,)} if family == "qwen3_moe" else {})))
    names, wanted = list(model.state_dict()), gradients(model)
    recompute(model, mode)
    choice = compile_blocks(model, wanted=True)
    before = counters["stats"]["unique_graphs"]
    difference = worst(wanted, gradients(model))
    return {
        "choice": choice.name,
        "difference": difference,
        "names_stay": list(model.state_dict()) == names,
        "graphs": counters["stats"]["unique_graphs"] - before,
        "looks": len(model.views),
        "breaks": dict(counters["graph_break"]),
    }


def scoring() -> dict[str, bool]:
    torch._dynamo.reset()
    counters.clear()
    model = filled_model(tiny_config())
    with torch.no_grad():
        wanted = model(IDS)
        compile_blocks(model, wanted=True)
        before = counters["stats"]["unique_graphs"]
        same = torch.equal(model(IDS), wanted)
    return {"same": same, "is_traced": counters["stats"]["unique_graphs"] != before}


def twin() -> float:
    """How far the gradients of a copy move when the original is wiped out."""
    model = filled_model(tiny_config())
    compile_blocks(model, wanted=True)
    wanted, copied = gradients(model), copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return worst(wanted, gradients(copied))


def again() -> bool:
    """Whether a new model and a new trace, which is what a resumed run is, give the same bits with dropout on."""
    found = []
    for _ in range(2):
        torch._dynamo.reset()
        model = filled_model(tiny_config())
        model.set_dropout(0.1)
        compile_blocks(model, wanted=True)
        found.append(gradients(model))
    return all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def failing() -> str:
    """What is said where the compiler is there and fails."""

    def broken(graph: object, inputs: object) -> None:
        raise OSError("Python.h: No such file or directory")

    compiled._BACKEND = broken
    torch._dynamo.reset()
    return " ".join(compile_blocks(filled_model(tiny_config()), wanted=True))


def main() -> None:
    torch.set_num_threads(1)
    compiled._BACKEND = sys.argv[1]
    cases = CASES if sys.argv[1] == "aot_eager" else CASES[:2]
    said = {"cases": {f"{family} {mode}": case(family, mode) for family, mode in cases}}
    said |= {"scoring": scoring(), "twin": twin(), "again": again(), "failing": failing()}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
