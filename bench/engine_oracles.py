"""bench/engine_oracles: the engine's answers against transformers, llama.cpp, exact distributions and itself.

For every causal family a small model is trained on docstrings of the standard library; then, 50 prompts of 8 to 64 tokens and
256 tokens each, float32, greedy:

- ids equal those of `transformers.generate`;
- ids are the same alone, eight at once, with prompts found in the cache, read in pieces, preempted and with guesses, and
  log-probabilities at most 1e-5 apart; in deterministic mode they are the same numbers;
- llama.cpp (keys and values in float32) says the same from a GGUF F32 file, but where our two best logits lie within 1e-3.
  A model with windows is compared with its weights in a model without, which is what llama.cpp can run; the end token, on which
  llama.cpp would stop, is barred in both.

Once: draws pass a chi-square test against transformers' samplers, and beam search finds the best of all answers where all can
be tried. `--families llama,gpt2 --prompts 5 --tokens 64` tries less. Exits 1 when a bar is missed or a peer is missing.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bench.engine_draws import beam_faults, draws
from bench.engine_ways import WAYS, apart, said_by
from bench.machine import machine
from bench.oracle_models import FAMILIES, POSITIONS, Trained, ground, prompts_from, trained, unwindowed
from bench.peers import TRANSFORMERS, ask_peer, peer_python
from bench.workshop import Workshop
from whorl.compress.exports.gguf import GGUF
from whorl.infer.engine import Sampling
from whorl.model.checkpoint import load
from whorl.model.transformer import Transformer
from whorl.tokens.shards import TokenShards

LLAMA_CPP = ("gguf", ("xllamacpp==2026.10.11549",))
SCRIPTS = Path(__file__).parent / "peer_scripts"
STEPS, PROMPTS, TOKENS = 250, 50, 256
END, PAD = 1, 2
LOGPROB_BAR, TIE, P_BAR = 1e-5, 1e-3, 1e-3
DRAWS, SEARCHED = 4000, 5
ENDED = 1e9  # the lead where one of two answers is the beginning of the other


class Peers(NamedTuple):
    """Their interpreters."""

    transformers: Path
    llama_cpp: Path


class Extent(NamedTuple):
    """How much is asked."""

    num_prompts: int
    num_tokens: int
    num_steps: int  # of training


class Task(NamedTuple):
    """One family to be examined."""

    found: Trained
    model: Transformer
    num_tokens: int

    @property
    def family(self) -> str:
        """Its name."""
        return self.found.folder.name


def main() -> int:
    """Examine, print what was found, print the JSON line."""
    arguments = _arguments()
    python, other = peer_python(*TRANSFORMERS), peer_python(*LLAMA_CPP)
    if python is None or other is None:
        print(json.dumps({"bench": "engine_oracles", "peer": None, "missed": ["a peer is missing"]}))
        return 1
    torch.set_num_threads(1)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        shop = ground(Path(name))
        extent = Extent(arguments.prompts, arguments.tokens, arguments.steps)
        examined = partial(_examined, shop, peers=Peers(python, other), extent=extent)
        rows = {}
        for family, row in zip(arguments.families, pool.map(examined, arguments.families), strict=True):
            print(f"{family}: {json.dumps(row)}", flush=True)
            rows[family] = row
        first = shop.root / arguments.families[0]
        once = _once(load(first).model, prompts_from(TokenShards.open(shop.root / "ids", "held_out"), 1)[0], python)
    print(json.dumps(once))
    line = _line(rows, once, seconds=time.monotonic() - begun)
    print(json.dumps(line))
    return 1 if line["missed"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--families", type=lambda text: tuple(text.split(",")), default=tuple(FAMILIES))
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    return parser.parse_args()


def _examined(shop: Workshop, family: str, *, peers: Peers, extent: Extent) -> dict[str, Any]:
    """Everything about one family, in a process of its own."""
    torch.set_num_threads(1)
    begun = time.monotonic()
    found = trained(shop, family, steps=extent.num_steps, num_prompts=extent.num_prompts)
    task = Task(found, load(found.folder).model, extent.num_tokens)
    trained_s = time.monotonic() - begun
    plain = _ways(task, deterministic=False)
    fixed = _ways(task, deterministic=True)
    ours = plain.pop("answers")
    fixed.pop("answers")
    theirs = _by_transformers(task, peers.transformers)
    return {
        "loss": round(task.found.loss, 3),
        "distinct_ids": len({token for ids in ours for token in ids}),
        "transformers": _against(task.model, task.found.prompts, ours, theirs),
        "ways": plain,
        "deterministic": fixed,
        "llama_cpp": _by_llama_cpp(task, peers.llama_cpp, shop.root),
        "seconds": [round(trained_s), round(time.monotonic() - begun)],
    }


def _ways(task: Task, *, deterministic: bool) -> dict[str, Any]:
    """Each way beside the first, and what the first said."""
    sampling = Sampling(task.num_tokens)
    said = {way: said_by(way, task.model, task.found.prompts, sampling, deterministic=deterministic) for way in WAYS}
    alone = said["alone"].answers
    far = {way: apart(alone, one.answers) for way, one in said.items() if way != "alone"}
    return {
        "answers": [list(one.ids) for one in alone],
        "other_ids": {way: one.num_other_ids for way, one in far.items() if one.num_other_ids},
        "other_bits": {way: one.num_other_bits for way, one in far.items() if one.num_other_bits},
        "furthest_logprob": max(one.logprob for one in far.values()),
        "happened": {way: one.happened for way, one in said.items() if way not in ("alone", "eight")},
    }


def _by_transformers(task: Task, python: Path) -> list[list[int]]:
    ask = {
        "folders": {task.family: str(task.found.folder)},
        "prompts": {task.family: task.found.prompts},
        "max_tokens": task.num_tokens,
        "pad": PAD,
    }
    return list(ask_peer(python, SCRIPTS / "generate_hf.py", ask)["greedy"][task.family])


def _by_llama_cpp(task: Task, python: Path, root: Path) -> dict[str, Any]:
    """Without windows and without the end token, on both sides."""
    folder = unwindowed(task.found.folder, root / f"{task.family}-unwindowed")
    target = root / f"{task.family}-gguf"
    target.mkdir()
    GGUF(dtype="f32").write(folder, target)
    ask = {
        "file": str(next(target.iterdir())),
        "context": POSITIONS,
        "prompts": task.found.prompts,
        "max_tokens": task.num_tokens,
        "ignore_eos": True,
    }
    theirs = ask_peer(python, SCRIPTS / "gguf_llama_cpp.py", ask)["greedy"]
    model = load(folder).model
    barred = Sampling(task.num_tokens, logit_bias={END: -float("inf")})
    ours = [list(one.ids) for one in said_by("eight", model, task.found.prompts, barred).answers]
    return _against(model, task.found.prompts, ours, theirs, barred=END)


@torch.inference_mode()
def _against(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    ours: Sequence[list[int]],
    theirs: Sequence[list[int]],
    *,
    barred: int | None = None,
) -> dict[str, Any]:
    """Answers that differ, and by how much our best logit led where each first did."""
    leads = []
    for prompt, one, other in zip(prompts, ours, theirs, strict=True):
        place = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        if place is None and len(one) != len(other):
            leads.append(ENDED)
        elif place is not None:
            logits = model.head(model(torch.tensor([[*prompt, *one[:place]]])))[0, -1]
            if barred is not None:
                logits[barred] = -torch.inf
            leads.append(float(logits[one[place]] - logits[other[place]]))
    equal = sum(map(len, theirs))
    return {"equal": len(prompts) - len(leads), "of": len(prompts), "tokens": equal, "leads": sorted(leads, reverse=True)}


def _once(model: Transformer, prompt: Sequence[int], python: Path) -> dict[str, Any]:
    """What does not depend on the family."""
    found = draws(model, prompt, python, count=DRAWS)
    return {
        "chi_square_p": {name: round(one.p, 4) for name, one in found.items()},
        "draws_outside": sum(one.num_outside for one in found.values()),
        "tokens_left": {name: one.num_left for name, one in found.items()},
        "beam_faults": beam_faults(num_prompts=SEARCHED),
        "beam_prompts": SEARCHED,
    }


def _missed(rows: Mapping[str, Mapping[str, Any]], once: Mapping[str, Any]) -> list[str]:
    missed = []
    for family, row in rows.items():
        plain, fixed = row["ways"], row["deterministic"]
        faults = {
            "transformers says other ids": bool(row["transformers"]["leads"]),
            "ids depend on the way": plain["other_ids"] or fixed["other_ids"],
            f"log-probabilities more than {LOGPROB_BAR} apart": not plain["furthest_logprob"] <= LOGPROB_BAR,
            "deterministic mode has other bits": fixed["other_bits"],
            f"llama.cpp differs where logits are more than {TIE} apart": any(
                not abs(lead) <= TIE for lead in row["llama_cpp"]["leads"]
            ),
            "a way did not happen": not all([*plain["happened"].values(), *fixed["happened"].values()]),
        }
        missed += [f"{family}: {fault}" for fault, is_so in faults.items() if is_so]
    if min(once["chi_square_p"].values()) <= P_BAR:
        missed.append("draws do not fit their distribution")
    if once["draws_outside"]:
        missed.append("tokens drawn that were cut off")
    if once["beam_faults"]:
        missed.append("beam search misses the best answer")
    return missed


def _line(rows: Mapping[str, Mapping[str, Any]], once: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
    equal = sum(row["transformers"]["equal"] for row in rows.values())
    asked = sum(row["transformers"]["of"] for row in rows.values())
    ties = [lead for row in rows.values() for lead in row["llama_cpp"]["leads"]]
    return {
        "bench": "engine_oracles",
        "ours": equal,
        "peer": asked,
        "ratio": round(equal / asked, 4),
        "unit": "greedy answers equal to transformers.generate in float32",
        "n": sum(row["transformers"]["tokens"] for row in rows.values()),
        "spread": None,
        "machine": machine(),
        "families": list(rows),
        "furthest_logprob": max(row["ways"]["furthest_logprob"] for row in rows.values()),
        "deterministic_other_bits": {family: row["deterministic"]["other_bits"] for family, row in rows.items()},
        "llama_cpp_equal": sum(row["llama_cpp"]["equal"] for row in rows.values()),
        "llama_cpp_apart_at_leads": [round(lead, 6) for lead in sorted(ties, reverse=True)],
        "happened": {family: row["ways"]["happened"] for family, row in rows.items()},
        **once,
        "seconds": round(seconds),
        "missed": _missed(rows, once),
    }


if __name__ == "__main__":
    sys.exit(main())
