"""bench/peer_scripts/decode_hf: transformers' generate in bfloat16, greedy, as it comes: no compiling.

More requests than rows are answered in batches of as many as there are rows, in order of arrival, padded on the left, each
batch until its longest answer is done: what `generate` can do. Of attention and cache, the fastest on this machine is taken,
apart for one row and for several. Runs in the peers' own environment.
"""

import time
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402 - libraries warn while they are imported
from decode_turns import Answering, Question, Task, Told, fastest, take_turns  # type: ignore[import-not-found]  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers import AutoModelForCausalLM, GenerationConfig, StoppingCriteria, __version__  # noqa: E402

SETTINGS = {
    "sdpa attention, growing cache": ("sdpa", None),
    "eager attention, growing cache": ("eager", None),
    "sdpa attention, static cache": ("sdpa", "static"),
}


class Clock(StoppingCriteria):  # type: ignore[misc]
    """Stops nothing; notes when each token was chosen."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, input_ids: Tensor, scores: Tensor, **given: Any) -> Tensor:
        """After each token."""
        del scores, given
        self.ends.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool)


def answered(model: Any, setting: tuple[str, str | None], question: Question) -> Told:
    """All prompts, in batches."""
    attention, cache = setting
    model.set_attn_implementation(attention)
    ids: list[list[int]] = []
    clocks = []
    begin = time.perf_counter()
    for start in range(0, len(question.prompts), question.rows):
        prompts, counts = (every[start : start + question.rows] for every in (question.prompts, question.counts))
        clocks.append(Clock())
        said = _batch(model, prompts, max(counts), cache=cache, clock=clocks[-1])
        ids += [row[:count] for row, count in zip(said, counts, strict=True)]
    first, end = clocks[0].ends[0], clocks[-1].ends[-1]
    return Told(ids, first - begin, end - first, end - begin, sum(question.counts) - question.rows)


def _batch(model: Any, prompts: list[list[int]], count: int, *, cache: str | None, clock: Clock) -> list[list[int]]:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    config = GenerationConfig(
        max_new_tokens=count, do_sample=False, pad_token_id=0, cache_implementation=cache, disable_compile=True
    )
    said = model.generate(ids, attention_mask=mask, generation_config=config, stopping_criteria=[clock])
    rows: list[list[int]] = said[:, width:].tolist()
    assert all(len(row) == count for row in rows), "an answer ended early"
    return rows


def build(task: Task) -> tuple[Answering, Mapping[str, Any]]:
    """The model, with the settings that are fastest here."""
    torch.set_num_threads(task["threads"])
    model = AutoModelForCausalLM.from_pretrained(task["folder"], dtype=torch.bfloat16).eval()
    model.generation_config.eos_token_id = None  # `generate` fills a config's blanks from here
    ways = {name: partial(answered, model, setting) for name, setting in SETTINGS.items()}
    trials = [Question(**trial) for trial in task["trials"]]
    chosen = {trial.rows: fastest(ways, trial) for trial in trials}
    most = max(chosen)

    def answering(question: Question) -> Told:
        return ways[chosen.get(question.rows, chosen[most])](question)

    facts = {"version": __version__, "settings": chosen, "torch": torch.__version__}
    return answering, {**facts, "parameters": sum(one.numel() for one in model.parameters())}


if __name__ == "__main__":
    take_turns(build)
