"""bench/peer_scripts/decode_ours: whorl's arm: the engine as users have it, greedy, with log-probabilities.

Nothing is set for the bench but the number of rows and the format of the weights. Every token is chosen by the engine's own
sampler and its log-probability is computed: peers do the first or neither.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench.peer_scripts.decode_turns import Answering, Question, Task, Told, take_turns

from whorl.infer.engine import Engine, Setup
from whorl.infer.gauge import step_bytes, timed
from whorl.model.checkpoint import load
from whorl.model.parallel import set_threads


def answered(engine: Engine, question: Question) -> Told:
    """All prompts: `rows` of them at once, the next one when one has ended."""
    found = timed(engine, question.prompts, question.counts)
    assert all(one.num_cached == 0 for one in found.answers), "a prompt was found instead of computed"
    ids = [list(one.ids) for one in found.answers]
    assert list(map(len, ids)) == question.counts, "an answer ended early"
    return Told(ids, found.first_s, found.decode_s, found.total_s, found.num_decoded)


def build(task: Task) -> tuple[Answering, Mapping[str, Any]]:
    """The engine, once used for every kind of question."""
    set_threads(task["threads"])
    model = load(Path(task["folder"]), dtype=torch.bfloat16).model
    parameters = sum(one.numel() for one in model.parameters())
    engine = Engine(model, stop_ids=(), pad_id=0, setup=Setup(rows=task["rows"], weights=task["weights"]))
    for trial in task["trials"]:
        answered(engine, Question(**trial))
    facts = {"parameters": parameters, "step_bytes": step_bytes(engine, streams=1, context=task["mean_context"])}
    return partial(answered, engine), {**facts, "torch": torch.__version__}


if __name__ == "__main__":
    take_turns(build)
