"""Runs in an environment with transformers: its load balancing loss of router logits. Usage: REQUEST.json ANSWER.json.

The request names, for each case, logits per layer (layers, tokens, experts), how many experts a token uses, and which tokens
hold text (null: all).
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func


def main(request, answer):
    said = {"versions": {"transformers": transformers.__version__, "torch": torch.__version__}}
    for name, case in json.loads(Path(request).read_text()).items():
        layers = tuple(torch.tensor(logits) for logits in case["logits"])
        mask = None if case["held"] is None else torch.tensor([case["held"]])
        said[name] = float(load_balancing_loss_func(layers, layers[0].shape[1], case["top"], mask))
    Path(answer).write_text(json.dumps(said))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
