"""Beam search against all sequences there are, by hand, and against transformers (its answers are in tests/golden/infer)."""

import itertools
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import UsageError
from whorl.infer.beam import Beam, search
from whorl.model import checkpoint

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "infer" / "beam.json"
PEER = ROOT / ".venv-bench-hf" / "bin" / "python"
STOPS_WHEN = ("full", "unlikely", "impossible")  # to transformers: True, False, "never"
PROMPTS = ([5, 9, 60, 7], [0, 12, 33, 8, 8, 41, 3, 59, 20], [11])
CASES = [
    {"width": width, "length_penalty": penalty, "stops_when": rule, "stop_ids": stop_ids, "n": min(width, 3), "max_tokens": 12}
    for width, penalty, rule, stop_ids in (
        (2, 1.0, "unlikely", [1]),
        (4, 1.0, "unlikely", [1, 4, 5, 6, 7, 8]),
        (4, 1.0, "full", [1, 4, 5, 6, 7, 8]),
        (4, 1.0, "impossible", [1, 4, 5, 6, 7, 8]),
        (3, 0.0, "unlikely", [4, 5, 6]),
        (3, -0.5, "impossible", [4, 5, 6]),
        (5, 2.0, "unlikely", list(range(20))),
        (5, 2.0, "full", list(range(20))),
    )
]


def toy(num_ids, seed):
    """Log-probabilities after any answer so far: another distribution after each, always the same."""

    def ahead(sequences):
        drawn = [np.random.default_rng([seed, *sequence, 99]).normal(0, 1.5, num_ids) for sequence in sequences]
        return torch.from_numpy(np.array(drawn)).float().log_softmax(-1)

    return ahead


def every_answer(ahead, num_ids, max_tokens, stop_ids):
    """All answers that stop, or go on to the last token, with the sum of their log-probabilities."""
    found = []
    for length in range(1, max_tokens + 1):
        for ids in itertools.product(range(num_ids), repeat=length):
            stops = ids[-1] in stop_ids
            if set(ids[:-1]) & set(stop_ids) or not (stops or length == max_tokens):
                continue
            found.append((ids, sum(float(ahead([ids[:place]])[0, token]) for place, token in enumerate(ids))))
    return found


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    num_ids=st.integers(2, 4),
    max_tokens=st.integers(1, 4),
    num_stops=st.integers(0, 2),
    length_penalty=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
)
def test_a_search_wide_enough_finds_the_best_of_all_sequences(seed, num_ids, max_tokens, num_stops, length_penalty):
    ahead, stop_ids = toy(num_ids, seed), set(range(num_stops))
    wanted = every_answer(ahead, num_ids, max_tokens, stop_ids)
    wanted = sorted(((logprob / len(ids) ** length_penalty, ids) for ids, logprob in wanted), reverse=True)
    width = num_ids**max_tokens
    beam = Beam(width, max_tokens, n=min(width, len(wanted)), length_penalty=length_penalty, stops_when="impossible")
    found = search(ahead, beam, stop_ids=stop_ids)
    assert [one.ids for one in found] == [ids for _, ids in wanted]
    assert [one.score for one in found] == pytest.approx([score for score, _ in wanted])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_one_beam_is_greedy_until_it_stops(seed):
    ahead, ids = toy(5, seed), ()
    while len(ids) < 6 and 0 not in ids:
        ids = (*ids, int(ahead([ids])[0].argmax()))
    found = search(ahead, Beam(1, 6, stops_when="full"), stop_ids={0})
    assert [one.ids for one in found] == [ids]
    assert found[0].finish == ("stop" if 0 in ids else "length")


def scripted(**probabilities):
    """Probabilities of the ids 0 (which stops), 1, 2 after each answer so far, named by its digits."""

    def ahead(sequences):
        rows = [probabilities["after" + "".join(map(str, sequence))] for sequence in sequences]
        return torch.tensor(rows, dtype=torch.float64).log()

    return ahead


GARDEN = scripted(
    after=[0.1, 0.5, 0.4],  # 1 looks better
    after1=[0.4, 0.3, 0.3],  # but leads to 0.5 * 0.4 = 0.2
    after2=[0.9, 0.05, 0.05],  # and 2 to 0.4 * 0.9 = 0.36
)


def test_two_beams_find_what_one_misses():
    beam = Beam(2, 2, n=2, length_penalty=0.0)
    (best, second) = search(GARDEN, beam, stop_ids={0})
    assert (best.ids, second.ids) == ((2, 0), (1, 0))
    assert math.exp(best.score) == pytest.approx(0.36)
    assert np.exp(best.logprobs) == pytest.approx([0.4, 0.9])
    assert search(GARDEN, Beam(1, 2, stops_when="full"), stop_ids={0})[0].ids == (1, 0)


def test_the_length_penalty_weighs_length_with_its_sign():
    ahead = scripted(after=[0.5, 0.5, 0.0], after1=[0.6, 0.4, 0.0])
    # (0): log 0.5 = -0.69. (1, 0): log 0.3 = -1.20, halved -0.60
    assert search(ahead, Beam(3, 2, length_penalty=0.0), stop_ids={0})[0].ids == (0,)
    assert search(ahead, Beam(3, 2, length_penalty=1.0), stop_ids={0})[0].ids == (1, 0)
    assert search(ahead, Beam(3, 2, length_penalty=1.0), stop_ids={0})[0].score == pytest.approx(math.log(0.3) / 2)
    assert search(ahead, Beam(3, 2, length_penalty=-1.0), stop_ids={0})[0].ids == (0,)


def counted(ahead):
    """The same, and the lengths it was asked about."""
    asked = []

    def counting(sequences):
        asked.append(len(sequences[0]))
        return ahead(sequences)

    return counting, asked


def rare_loops(stop, other):
    """0 stops; 1 and 2 go on, 2 ever more likely."""

    def ahead(sequences):
        rows = [[stop, other, 1 - stop - other] if not sequence else [0.02, 0.01, 0.97] for sequence in sequences]
        return torch.tensor(rows, dtype=torch.float64).log()

    return ahead


def test_each_rule_of_stopping_stops_where_it_says():
    # After one token (0) is finished with log 0.6 = -0.51; beam (1): log 0.3 = -1.20, beam (2): log 0.1.
    # unlikely: -1.20 / 1 < -0.51, the search is over. impossible: at length 8 even -1.20 / 8 > -0.51, it goes on.
    lengths = {}
    for rule in STOPS_WHEN:
        ahead, asked = counted(rare_loops(0.6, 0.1))
        found = search(ahead, Beam(1, 8, stops_when=rule), stop_ids={0})
        lengths[rule] = len(asked)
        assert found[0].ids == ((0,) if rule != "impossible" else (2,) * 8)
    assert lengths == {"full": 1, "unlikely": 1, "impossible": 8}
    # With length_penalty 0 no sum of logarithms grows: both stop at once. Not so if a beam is the likelier one.
    for rule in ("unlikely", "impossible"):
        ahead, asked = counted(rare_loops(0.6, 0.1))
        search(ahead, Beam(1, 8, length_penalty=0.0, stops_when=rule), stop_ids={0})
        assert len(asked) == 1


def test_a_full_search_stops_though_a_beam_is_better():
    likely = [0.01, 0.01, 0.98]
    ahead = scripted(after=[0.3, 0.5, 0.2], after1=[0.5, 0.1, 0.4], after2=[0.8, 0.1, 0.1], after12=likely, after11=likely)
    # Finished: (0) with log 0.3 = -1.20, then (1, 0) with log 0.25 / 2 = -0.69; beam (1, 2) has log 0.2 / 2 = -0.80.
    ahead, asked = counted(ahead)
    assert [one.ids for one in search(ahead, Beam(2, 3, n=2, stops_when="full"), stop_ids={0})] == [(1, 0), (0,)]
    assert asked == [0, 1]
    assert [one.ids for one in search(ahead, Beam(2, 3, n=2), stop_ids={0})] == [(1, 2, 2), (1, 0)]
    assert asked == [0, 1, 0, 1, 2]


def test_a_stop_outside_the_first_width_is_neither_kept_nor_continued():
    ahead = scripted(after=[0.2, 0.5, 0.3], after1=[0.1, 0.8, 0.1], after2=[0.1, 0.8, 0.1])
    found = search(ahead, Beam(2, 2, n=2, length_penalty=0.0), stop_ids={0})
    assert [one.ids for one in found] == [(1, 1), (2, 1)]
    assert {one.finish for one in found} == {"length"}


def test_what_has_no_probability_is_never_an_answer():
    only = scripted(after=[0.0, 1.0, 0.0], after1=[1.0, 0.0, 0.0])
    found = search(only, Beam(4, 3, n=4), stop_ids={0})
    assert [one.ids for one in found] == [(1, 0)]


def test_ties_go_to_the_better_beam_and_then_to_the_lower_id():
    flat = scripted(**{f"after{token}": [1 / 3] * 3 for token in ("", 0, 1, 2)})
    found = search(flat, Beam(3, 2, n=3, length_penalty=0.0), stop_ids=())
    assert [one.ids for one in found] == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"max_tokens": 0}, {"n": 0}, {"n": 4}, {"length_penalty": math.nan}, {"length_penalty": math.inf}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError, match="want width and max_tokens of at least 1, n from 1 to width"):
        Beam(**{"width": 3, "max_tokens": 2, **wrong})


def by_full_passes(model, prompt):
    """Log-probabilities from the whole sequence, every time."""

    def ahead(sequences):
        ids = torch.tensor([[*prompt, *sequence] for sequence in sequences])
        with torch.no_grad():
            return model.head(model(ids))[:, -1].log_softmax(-1)

    return ahead


def beam_of(case):
    return Beam(**{name: value for name, value in case.items() if name != "stop_ids"})


def assert_same(found, wanted):
    assert [list(one.ids) for one in found] == wanted["ids"]
    # float32 with sums in another order, over 12 tokens
    np.testing.assert_allclose([one.score for one in found], wanted["scores"], atol=1e-4)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_answers_equal_what_transformers_was_recorded_to_give(model, number):
    case, recorded = CASES[number], json.loads(GOLDEN.read_text())["cases"][number]
    assert recorded["case"] == case
    for prompt, wanted in zip(PROMPTS, recorded["answers"], strict=True):
        assert_same(search(by_full_passes(model, prompt), beam_of(case), stop_ids=case["stop_ids"]), wanted)


@pytest.mark.parity
def test_transformers_gives_what_was_recorded(model, tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete the file."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 transformers in it"
    checkpoint.save(tmp_path / "model", model, family="qwen3")
    ask = {"folder": str(tmp_path / "model"), "prompts": PROMPTS, "cases": CASES}
    command = [str(PEER), str(Path(__file__).with_name("peer_beam.py"))]
    done = subprocess.run(command, input=json.dumps(ask), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    if not GOLDEN.is_file():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    for fresh, kept in zip(said["cases"], json.loads(GOLDEN.read_text())["cases"], strict=True):
        assert fresh["case"] == kept["case"]
        for one, other in zip(fresh["answers"], kept["answers"], strict=True):
            assert one["ids"] == other["ids"]
            np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-5)
