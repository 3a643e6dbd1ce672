"""Runs in an environment with transformers: what its own classes make of checkpoint folders. Usage: REQUEST.json ANSWER.npz.

For each folder of the request, whatever its architecture: logits of padded rows and of packed documents taken one by one,
and greedy answers where the architecture can generate. Then the other way: a model of the folder's config with weights of the
peer's own drawing, saved in shards beside it (`FOLDER-drawn`), without its head (`FOLDER-headless`) where the request names
it, and its logits. Answers are named VARIANT/WHAT; 2-dimensional ones belong to whole rows (classes, next sentence).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers


def class_of(folder):
    config = json.loads((Path(folder) / "config.json").read_text())
    return getattr(transformers, config["architectures"][0])


def opened(folder):
    """The folder as transformers reads it; weights it misses or does not know are an error, not a warning."""
    model, report = class_of(folder).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    wrong = {kind: sorted(map(str, found)) for kind, found in report.items() if found}
    assert not wrong, f"{folder}: {wrong}"
    return model.eval()


def logits_of(model, **inputs):
    """Token logits, and those of whole rows under their own name."""
    out = model(**inputs)
    found = {name: out[name].numpy() for name in ("logits", "prediction_logits", "seq_relationship_logits") if name in out}
    return {("rows" if value.ndim == 2 else "tokens"): value for value in found.values()}


def padded(model, rows, segments):
    """Rows of unequal length, right-padded under an attention mask; tokens: (rows, longest, vocabulary)."""
    longest = max(map(len, rows))
    inputs = {
        "input_ids": torch.tensor([row + [2] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
    }
    if segments:
        inputs["token_type_ids"] = torch.tensor([row + [0] * (longest - len(row)) for row in segments])
    return logits_of(model, **inputs)


def alone(model, documents):
    """Each document run alone, joined along time (rows: along documents)."""
    found = [logits_of(model, input_ids=torch.tensor([ids])) for ids in documents]
    joined = {"rows": np.concatenate, "tokens": lambda parts: np.concatenate([p[0] for p in parts])}
    return {kind: joined[kind]([one[kind] for one in found]) for kind in found[0]}


def greedy(model, prompts, max_tokens):
    """Left-padded batch; (prompts, max_tokens), padded with 2 after the end."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[2] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False)[:, longest:].numpy()
    return np.pad(out, ((0, 0), (0, max_tokens - out.shape[1])), constant_values=2)


def draw_anew(folder, *, headless):
    """A model of the folder's config with weights drawn here, norms and all, saved in small shards."""
    torch.manual_seed(0)
    kind = class_of(folder)
    model = kind._from_config(transformers.AutoConfig.from_pretrained(folder), attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(float(weight.ndim == 1 and not name.endswith("bias")), 0.2)
        for name, buffer in model.named_buffers():
            if name.endswith("correction_bias"):
                buffer.normal_(0.0, 0.2)
    model.save_pretrained(f"{folder}-drawn", max_shard_size="8KB")
    if headless:
        model.base_model.save_pretrained(f"{folder}-headless")
    return model


def answers(folder, ask, *, headless):
    model = opened(folder)
    said = {"class": type(model).__name__, "fields": model.config.to_json_string(use_diff=False)}
    found = {"padded": padded(model, ask["rows"], ask.get("segments")), "packed": alone(model, ask["documents"])}
    if model.can_generate() and ask["max_tokens"]:
        said["greedy"] = greedy(model, ask["rows"], ask["max_tokens"])
    found["drawn"] = padded(draw_anew(folder, headless=headless), ask["rows"], ask.get("segments"))
    for name, kinds in found.items():
        said |= {name if kind == "tokens" else f"{name}_{kind}": value for kind, value in kinds.items()}
    return said


@torch.no_grad()
def main(request, answer):
    ask = json.loads(Path(request).read_text())
    said = {"versions": json.dumps({"transformers": transformers.__version__, "torch": torch.__version__})}
    for name, folder in ask["folders"].items():
        for what, value in answers(folder, ask, headless=name in ask.get("headless", ())).items():
            said[f"{name}/{what}"] = value
    np.savez(answer, **said)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
