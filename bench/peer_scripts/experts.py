"""bench/peer_scripts/experts: transformers' own experts, forward and backward, on request. Usage: FOLDER with the cases.

For every line read (a case and how many passes), one pass after the other is timed in CPU-seconds of one thread and one line
answers. Runs in an environment of its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralExperts


def experts(case: dict[str, Any], how: str) -> Any:
    """The peer's module with the case's weights, in bfloat16."""
    count, width, dim = case["ups"].shape
    config = MixtralConfig(num_local_experts=count, hidden_size=dim, intermediate_size=width, experts_implementation=how)
    built = MixtralExperts(config).bfloat16()
    with torch.no_grad():
        built.gate_up_proj.copy_(torch.cat([case["gates"], case["ups"]], dim=1))
        built.down_proj.copy_(case["downs"])
    return built


def main(folder: Path) -> None:
    """Answer until the input ends. The first answer of a case also leaves its output and gradients beside the case."""
    torch.set_num_threads(1)
    built: dict[str, Any] = {}
    for line in sys.stdin:
        ask = json.loads(line)
        name = f"{ask['case']}-{ask['how']}"
        case = load_file(folder / f"{ask['case']}.safetensors")
        module = built.setdefault(name, experts(case, ask["how"]))
        times = []
        for _ in range(ask["passes"]):
            x = case["x"].bfloat16().requires_grad_()
            weights = case["weights"].bfloat16().requires_grad_()
            module.zero_grad(set_to_none=True)
            began = time.process_time()
            out = module(x, case["chosen"], weights)
            out.backward(case["upstream"].bfloat16())
            times.append(time.process_time() - began)
        found = {"out": out, "x": x.grad, "weights": weights.grad, "downs": module.down_proj.grad}
        save_file({key: value.detach().float().contiguous() for key, value in found.items()}, folder / f"{name}.answer")
        sys.stdout.write(json.dumps(times) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
