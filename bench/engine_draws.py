"""bench/engine_draws: what the engine draws against exact distributions, and what it searches against every answer there is.

The distributions are those of transformers' own samplers on the same logits. Draws come from whole requests, many copies of
one prompt at once, each with a seed of its own.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench.peers import ask_peer
from whorl.core.seed import Seed
from whorl.infer.beam import Beam, search
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.model.families import Family
from whorl.model.transformer import Transformer

__all__ = ["SETTINGS", "Draws", "beam_faults", "draws"]

SCRIPT = Path(__file__).parent / "peer_scripts" / "generate_hf.py"
SETTINGS: Mapping[str, Mapping[str, float]] = {
    "plain": {"temperature": 1.0},
    "hot": {"temperature": 1.7},
    "top_k": {"temperature": 1.0, "top_k": 12},
    "top_p": {"temperature": 1.0, "top_p": 0.8},
    "min_p": {"temperature": 1.0, "min_p": 0.08},
    "all": {"temperature": 1.3, "top_k": 40, "top_p": 0.9, "min_p": 0.03},
}
LEAST_EXPECTED = 5.0  # draws of a cell; rarer tokens are counted together
SMALL = {"vocabulary": 5, "answer": 4, "stop": 1}


class Draws(NamedTuple):
    """How draws fit a distribution."""

    p: float  # chance of being so far off or further, if it is that distribution
    num_outside: int  # draws that it gives no chance
    num_left: int  # tokens that it does


def draws(model: Transformer, prompt: Sequence[int], python: Path, *, count: int) -> dict[str, Draws]:
    """Under each of SETTINGS, `count` draws of the token after a prompt."""
    with torch.inference_mode():
        logits = model.head(model(torch.tensor([list(prompt)])))[0, -1]
    asked = [{"logits": logits.tolist(), "settings": settings} for settings in SETTINGS.values()]
    exact = ask_peer(python, SCRIPT, {"samplers": asked})["drawn_from"]
    engine = Engine(model, stop_ids=(), pad_id=2, setup=Setup(rows=64, block_size=8))
    found = {}
    for (name, settings), chances in zip(SETTINGS.items(), exact, strict=True):
        sampling = Sampling(1, **_as_sampling(settings))
        numbers = engine.submit_copies(Request(prompt, sampling, seed=Seed(3).child(name).number), count)
        drawn = [one.ids[0] for one in engine.finish(numbers)]
        found[name] = _fit(np.bincount(drawn, minlength=len(chances)), np.array(chances))
    return found


def beam_faults(*, num_prompts: int) -> int:
    """Of a model with five tokens, prompts whose best answer of at most four is not the one that trying all of them finds."""
    vocabulary, stop = SMALL["vocabulary"], SMALL["stop"]
    config = Family.model_validate({"use": "llama", "depth": 2, "width": 32, "heads": 2}).configure(vocabulary, 32)
    model = Transformer.fresh(config, Seed(5))
    draw = torch.Generator().manual_seed(5)
    for weight in model.parameters():
        weight.data.normal_(float(weight.ndim == 1), 0.4, generator=draw)
    engine = Engine(model, stop_ids=(), pad_id=2, setup=Setup(block_size=4))
    beam = Beam(vocabulary ** (SMALL["answer"] - 1), SMALL["answer"], stops_when="impossible", length_penalty=0.0)
    faults = 0
    for number in range(num_prompts):
        prompt = [int(token) for token in Seed(number).child("beam").generator().integers(0, vocabulary, 3 + number)]
        (best,) = search(_ahead(engine, prompt), beam, stop_ids={stop})
        faults += best.ids != _best_of_all(engine, prompt)
    return faults


def _as_sampling(settings: Mapping[str, float]) -> dict[str, Any]:
    return {name: int(value) if name == "top_k" else value for name, value in settings.items()}


def _fit(counts: np.ndarray, chances: np.ndarray) -> Draws:
    """Pearson's test, cells that expect few draws joined."""
    expected = chances * counts.sum()
    is_common = expected >= LEAST_EXPECTED
    observed = np.append(counts[is_common], counts[~is_common & (chances > 0)].sum())
    wanted = np.append(expected[is_common], expected[~is_common].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    half = torch.tensor([(len(wanted) - 1) / 2, statistic / 2], dtype=torch.float64)
    p = float(torch.special.gammaincc(half[0], half[1])) if len(wanted) > 1 else 1.0
    return Draws(p, int(counts[chances == 0].sum()), int((chances > 0).sum()))


def _ahead(engine: Engine, prompt: list[int]) -> Any:
    """What the engine says may follow each answer so far."""
    vocabulary = engine.model.config.vocab_size

    def ahead(answers: Sequence[tuple[int, ...]]) -> torch.Tensor:
        asked = [Request([*prompt, *answer], Sampling(1, logprobs=vocabulary)) for answer in answers]
        found = engine.finish([engine.submit(one) for one in asked])
        rows = torch.full((len(found), vocabulary), -torch.inf)
        for row, one in zip(rows, found, strict=True):
            for token, logprob in one.top[0]:
                row[token] = logprob
        return rows

    return ahead


def _best_of_all(engine: Engine, prompt: list[int]) -> tuple[int, ...]:
    """Every answer scored: those that end at the first stop token, and those of full length without one."""
    stop, longest = SMALL["stop"], SMALL["answer"]
    others = [token for token in range(SMALL["vocabulary"]) if token != stop]
    answers = [(*start, stop) for length in range(longest) for start in product(others, repeat=length)]
    answers += list(product(others, repeat=longest))
    totals = [scores[len(prompt) - 1 :].sum() for scores in engine.score([[*prompt, *answer] for answer in answers])]
    return answers[int(np.argmax(totals))]
