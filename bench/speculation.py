"""bench/speculation: decoding with guesses and without: tokens per second, how many guesses were right, and the same ids.

A model of 150 M parameters in bfloat16 that copies (bench/copying_models) answers prompts that are a row of tokens to say
again: "copy" greedily, where guesses are right; "noise" drawn at a temperature where hardly any guess can be. Guesses come from
prompt lookup and from a small copying model of another seed, and are made only when infer/pays expects them to pay. Plain and
guessing engines answer in turns; the ratio is the median over rounds. What a step of more tokens costs is printed, and what
share of guesses must be right for k of them to pay at that cost. Exits 1 when ids differ at batch 1, or where guesses cannot be
right and having them on costs more than MAX_LOSS. There is no peer: llama.cpp and transformers guess by other rules.
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from bench.copying_models import ALPHABET, PERIOD, POSITIONS, copying_model, num_parameters, widened
from bench.machine import machine
from whorl.infer.draft import OpenDrafter, PromptLookup
from whorl.infer.draft_model import DraftModel
from whorl.infer.engine import Engine, Generated, Sampling, Setup
from whorl.infer.pays import StepCosts
from whorl.model.families import Family
from whorl.model.transformer import Transformer

VOCABULARY = 4096
LARGE = {"depth": 12, "width": 1024, "heads": 16, "kv_heads": 8, "head_dim": 64, "mlp_width": 3072}
MAX_TOKENS = 128
ROUNDS = 5
BATCHES = (1, 8)
MAX_LOSS = 0.1  # of the speed, where guessing cannot win
TASKS = {"copy": Sampling(MAX_TOKENS), "noise": Sampling(MAX_TOKENS, temperature=8.0, seed=1)}


class Answered(NamedTuple):
    """One engine's answers to the prompts, and how fast."""

    answers: list[Generated]
    tokens_per_s: float


def main() -> int:
    """Measure, print tables, print the JSON line."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small models train no faster on more, and much slower on busy cores
    small, drafter = copying_model(VOCABULARY, seed=0), copying_model(VOCABULARY, seed=1)
    torch.set_num_threads(threads)
    config = Family.model_validate({"use": "qwen3", "tied": False, **LARGE}).configure(VOCABULARY, POSITIONS)
    large = widened(small, config, dtype=torch.bfloat16)
    drafter = widened(drafter, drafter.config, dtype=torch.bfloat16)
    print(f"{num_parameters(large) / 1e6:.0f} M parameters; the draft model {num_parameters(drafter) / 1e6:.1f} M")
    openers: dict[str, OpenDrafter] = {
        "lookup": PromptLookup,
        "draft model": DraftModel(drafter, vocab_size=VOCABULARY).open,
    }
    costs, rows = {}, {}
    for name, opener in openers.items():
        plain, guessing = _engine(large, None), _engine(large, opener)
        costs[name] = _print_costs(name, guessing)
        for task, sampling in TASKS.items():
            for batch in BATCHES:
                rows[f"{name}, {task}, batch {batch}"] = _compared(plain, guessing, sampling, batch)
                print(f"{name}, {task}, batch {batch}: {rows[f'{name}, {task}, batch {batch}']}")
    best = rows["lookup, copy, batch 1"]
    missed = _missed(rows)
    figures = {"ours": best["with"], "peer": best["without"], "ratio": best["ratio"], "unit": "tokens per second", "n": ROUNDS}
    figures |= {"spread": best["spread"], "costs": costs, "rows": rows, "machine": machine(), "missed": missed}
    print(json.dumps({"bench": "speculation", **figures, "peer_is": "the same engine without guesses"}))
    return 1 if missed else 0


def _engine(model: Transformer, opener: OpenDrafter | None) -> Engine:
    return Engine(model, stop_ids=(), pad_id=0, setup=Setup(rows=max(BATCHES), reuses=False), open_drafter=opener)


def _print_costs(name: str, engine: Engine) -> dict[str, Any]:
    """What was measured when the engine was built, and the share of right guesses from which k of them pay."""
    assert engine.speculation is not None, "built to guess"
    costs = engine.speculation.costs
    needed = {guesses: _break_even(costs, guesses) for guesses in (1, 2, 4, 8)}
    steps = {size: round(ratio, 2) for size, ratio in zip(costs.sizes, costs.ratios, strict=True)}
    print(
        f"{name}: a step of n tokens costs {steps} steps of one, a guess {costs.draft:.3f}; pays from a share right of {needed}"
    )
    return {"steps": steps, "draft": round(costs.draft, 4), "pays_from": needed}


def _break_even(costs: StepCosts, guesses: int) -> float | None:
    """The share of right guesses, each on its own, at which so many at once neither win nor lose; None: they never win."""
    price = costs.of(1 + guesses) + guesses * costs.draft
    for share in np.arange(0, 1.0001, 0.01):
        if sum(share**place for place in range(guesses + 1)) >= price:
            return round(float(share), 2)
    return None


def _compared(plain: Engine, guessing: Engine, sampling: Sampling, batch: int) -> dict[str, Any]:
    """Both engines in turns on the same prompts, other ones in every round."""
    ratios, speeds, same, drafted, accepted = [], [], 0, 0, 0
    for number in range(ROUNDS + 1):
        rng = np.random.default_rng([number, batch])
        prompts = [np.tile(rng.integers(0, ALPHABET, PERIOD), 2)[: PERIOD + 8].tolist() for _ in range(batch)]
        sides = [plain, guessing] if number % 2 else [guessing, plain]
        found = {id(side): _answered(side, prompts, sampling) for side in sides}
        without, own = found[id(plain)], found[id(guessing)]
        same += sum(one.ids == other.ids for one, other in zip(without.answers, own.answers, strict=True))
        drafted += sum(one.num_drafted for one in own.answers)
        accepted += sum(one.num_accepted for one in own.answers)
        if number:  # the first warms up
            ratios.append(own.tokens_per_s / without.tokens_per_s)
            speeds.append((own.tokens_per_s, without.tokens_per_s))
    return {
        "with": round(statistics.median(own for own, _ in speeds), 1),
        "without": round(statistics.median(without for _, without in speeds), 1),
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "right": round(accepted / drafted, 3) if drafted else None,  # None: nothing was guessed
        "guesses_per_token": round(drafted / ((ROUNDS + 1) * batch * sampling.max_tokens), 3),
        "same_ids": round(same / ((ROUNDS + 1) * batch), 3),
    }


def _answered(engine: Engine, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Answered:
    began = time.perf_counter()
    answers = engine.generate(prompts, sampling)
    taken = time.perf_counter() - began
    return Answered(answers, sum(len(one.ids) for one in answers) / taken)


def _missed(rows: dict[str, dict[str, Any]]) -> list[str]:
    """At batch 1 every step is small enough for the products whose rows do not depend on each other: not one id may differ."""
    missed = [f"{name}: ids differ" for name, row in rows.items() if name.endswith("batch 1") and row["same_ids"] < 1]
    lost = [(name, row["ratio"]) for name, row in rows.items() if "noise" in name and row["ratio"] < 1 - MAX_LOSS]
    for name, row in rows.items():
        if row["ratio"] < 1:
            print(f"does not pay here: {name}, {row['ratio']} of the speed without")
    return missed + [f"{name}: {ratio} of the speed without" for name, ratio in lost]


if __name__ == "__main__":
    sys.exit(main())
