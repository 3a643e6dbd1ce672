"""The bench's own arithmetic, on answers made by hand and a toy model; with peers, all of it on two families."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bench.engine_draws import LEAST_EXPECTED, _fit, beam_faults
from bench.engine_oracles import ENDED, _against, _missed
from bench.engine_ways import WAYS, apart, said_by

from whorl.core.seed import Seed
from whorl.infer.engine import Generated, Sampling
from whorl.model.families import Family
from whorl.model.transformer import Transformer

ROOT = Path(__file__).parents[2]
WAY = {"other_ids": {}, "other_bits": {}, "furthest_logprob": 0.0, "happened": {"cached": 1, "preempted": 1}}
GOOD = {
    "transformers": {"equal": 2, "of": 2, "tokens": 8, "leads": []},
    "ways": {**WAY, "other_bits": {"eight": 2}, "furthest_logprob": 9e-6},
    "deterministic": WAY,
    "llama_cpp": {"equal": 1, "of": 2, "tokens": 8, "leads": [9e-4]},
}
ONCE = {"chi_square_p": {"plain": 0.4, "top_k": 0.002}, "draws_outside": 0, "beam_faults": 0}


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    shape = {"use": "llama", "depth": 1, "width": 24, "heads": 2, "mlp_width": 32, "zero_outputs": False, "init_std": 0.3}
    return Transformer.fresh(Family.model_validate(shape).configure(31, 64), Seed(0))


def said(*ids, logprobs):
    return Generated(tuple(ids), tuple(logprobs), "length")


def test_equal_ids_and_nearly_equal_logprobs_are_told_from_other_ids_and_from_equal_bits():
    one = [said(1, 2, logprobs=[-1.0, -2.0]), said(3, logprobs=[-0.5]), said(4, logprobs=[-1.5])]
    other = [said(1, 2, logprobs=[-1.0, -2.5]), said(5, logprobs=[-0.5]), said(4, logprobs=[-1.5])]
    assert apart(one, other) == (1, 0.5, 2)
    assert apart(one, one) == (0, 0.0, 0)


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_happens_and_changes_no_id(model, way):
    draw = np.random.default_rng(1)
    prompts = [tuple(draw.integers(3, 31, size).tolist()) for size in (9, 20, 12, 17, 10, 30, 14, 11, 25)]
    found = said_by(way, model, prompts, Sampling(30))
    assert found.happened > 0
    assert apart(said_by("alone", model, prompts, Sampling(30)).answers, found.answers).num_other_ids == 0


def test_draws_of_another_distribution_do_not_fit():
    chances = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    drawn = np.bincount(np.random.default_rng(0).choice(5, 4000, p=chances), minlength=5)
    assert _fit(drawn, chances).p > 0.01
    assert _fit(drawn, np.array([0.45, 0.35, 0.15, 0.05, 0.0])).p < 1e-6
    assert _fit(drawn + np.array([0, 0, 0, 0, 3]), chances).num_outside == 3


def test_tokens_too_rare_to_judge_alone_are_judged_together():
    chances = np.array([0.99] + [0.001] * 10)
    assert (chances[1:] * 1000 < LEAST_EXPECTED).all()
    assert _fit(np.array([990, *[1] * 10]), chances).p > 0.9
    assert _fit(np.array([940, *[6] * 10]), chances).p < 1e-6


def test_the_best_of_all_answers_is_found():
    assert beam_faults(num_prompts=1) == 0


def test_where_answers_part_the_lead_of_the_best_logit_is_told(model):
    prompt = (3, 4, 5)
    with torch.inference_mode():
        logits = model.head(model(torch.tensor([list(prompt)])))[0, -1]
    best, next_best = logits.topk(2).indices.tolist()
    lead = float(logits[best] - logits[next_best])
    found = _against(model, [prompt] * 3, [[best, 7], [best], [best, 7]], [[next_best, 9], [best, 8], [best, 7]])
    assert (found["equal"], found["leads"]) == (1, [ENDED, pytest.approx(lead)])


def test_what_holds_is_not_missed():
    assert _missed({"llama": GOOD}, ONCE) == []


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("transformers", "leads"), [1e-9], "transformers says other ids"),
        (("ways", "other_ids"), {"cached": 1}, "ids depend on the way"),
        (("deterministic", "other_ids"), {"cached": 1}, "ids depend on the way"),
        (("ways", "furthest_logprob"), 1.1e-5, "log-probabilities more than 1e-05 apart"),
        (("ways", "furthest_logprob"), float("nan"), "log-probabilities more than 1e-05 apart"),
        (("deterministic", "other_bits"), {"eight": 1}, "deterministic mode has other bits"),
        (("llama_cpp", "leads"), [1.1e-3], "llama.cpp differs where logits are more than 0.001 apart"),
        (("llama_cpp", "leads"), [float("nan")], "llama.cpp differs where logits are more than 0.001 apart"),
        (("ways", "happened"), {"cached": 0}, "a way did not happen"),
    ],
)
def test_every_bar_is_missed_by_name(place, value, named):
    row = copy.deepcopy(GOOD)
    row[place[0]][place[1]] = value
    assert _missed({"llama": row}, ONCE) == [f"llama: {named}"]


def test_draws_and_searches_are_missed_by_name():
    bad = {"chi_square_p": {"plain": 0.4, "top_k": 0.001}, "draws_outside": 1, "beam_faults": 1}
    assert len(_missed({"llama": GOOD}, bad)) == 3


@pytest.mark.parity
@pytest.mark.timeout(900)
def test_two_families_a_little_trained_pass_every_bar():
    asked = ["--families", "llama,qwen2_moe", "--prompts", "4", "--tokens", "48", "--steps", "40"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.engine_oracles", *asked], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert (figures["missed"], figures["ours"], figures["n"]) == ([], 8, 8 * 48)
