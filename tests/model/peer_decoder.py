"""Runs in an environment with transformers: what its own classes make of checkpoint folders. Usage: REQUEST.json ANSWER.npz.

For each folder of the request: logits of padded rows, of packed documents taken one by one, and greedy answers. For each
config folder: a model with weights of the peer's own drawing, saved in shards, and its logits.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers


def opened(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def padded_logits(model, rows):
    """Rows of unequal length, right-padded under an attention mask; (rows, longest, vocabulary)."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [2] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return model(input_ids=ids, attention_mask=mask, use_cache=False).logits.numpy()


def document_logits(model, documents):
    """Each document run alone, joined along time; (time, vocabulary)."""
    return np.concatenate([model(input_ids=torch.tensor([ids])).logits[0].numpy() for ids in documents])


def greedy(model, prompts, max_tokens):
    """Left-padded batch; (prompts, max_tokens), padded with 2 after the end."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[2] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False)[:, longest:].numpy()
    return np.pad(out, ((0, 0), (0, max_tokens - out.shape[1])), constant_values=2)


def draw_anew(folder, into):
    """A model of the folder's config with weights drawn here, norms and all, saved in small shards."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder)).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(float(weight.ndim == 1), 0.2)
    model.save_pretrained(into, max_shard_size="8KB")
    return model


@torch.no_grad()
def main(request, answer):
    ask = json.loads(Path(request).read_text())
    said = {"versions": json.dumps({"transformers": transformers.__version__, "torch": torch.__version__})}
    for name, folder in ask["folders"].items():
        model = opened(folder)
        said[f"{name}/class"] = type(model).__name__
        said[f"{name}/padded"] = padded_logits(model, ask["rows"])
        said[f"{name}/packed"] = document_logits(model, ask["documents"])
        said[f"{name}/greedy"] = greedy(model, ask["rows"], ask["max_tokens"])
        drawn = draw_anew(folder, f"{folder}-drawn")
        said[f"{name}/drawn"] = padded_logits(drawn, ask["rows"])
    np.savez(answer, **said)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
