"""bench/peer_scripts/generate_hf: what transformers makes of a checkpoint: greedy ids, and which tokens its samplers leave.

Runs in an environment with transformers. float32, eager attention, all prompts in one batch, padded on the left; nothing ends
an answer but its length. A JSON object comes in on standard input and goes out as the last line.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


def opened(folder: str) -> Any:
    """The folder's own class; weights it misses or does not know end the script."""
    config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    kind = getattr(transformers, config["architectures"][0])
    model, report = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    wrong = {what: sorted(map(str, found)) for what, found in report.items() if found}
    assert not wrong, f"{folder}: {wrong}"
    model.generation_config.eos_token_id = None
    return model.eval()


def greedy(model: Any, prompts: list[list[int]], max_tokens: int, pad: int) -> list[list[int]]:
    """Ids of each answer, `max_tokens` of them."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    out = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False, eos_token_id=None, pad_token_id=pad
    )
    return list(out[:, longest:].tolist())


def left_by_samplers(logits: list[float], settings: dict[str, Any]) -> list[float]:
    """Probabilities from which transformers would draw."""
    chain = LogitsProcessorList([TemperatureLogitsWarper(settings["temperature"])])
    if settings.get("top_k"):
        chain.append(TopKLogitsWarper(settings["top_k"]))
    if settings.get("top_p"):
        chain.append(TopPLogitsWarper(settings["top_p"]))
    if settings.get("min_p"):
        chain.append(MinPLogitsWarper(settings["min_p"]))
    scores = chain(torch.zeros(1, 1, dtype=torch.long), torch.tensor([logits], dtype=torch.float32))
    return list(scores.double().softmax(dim=-1)[0].tolist())


@torch.no_grad()
def main() -> None:
    """Answer one question."""
    ask = json.load(sys.stdin)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(ask.get("threads", 1))
    greedy_ids = {
        name: greedy(opened(folder), ask["prompts"][name], ask["max_tokens"], ask["pad"])
        for name, folder in ask.get("folders", {}).items()
    }
    drawn_from = [left_by_samplers(one["logits"], one["settings"]) for one in ask.get("samplers", ())]
    version = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(json.dumps({"greedy": greedy_ids, "drawn_from": drawn_from, "version": version}))


if __name__ == "__main__":
    main()
