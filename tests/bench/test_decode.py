"""What bench.decode asks its arms, how it judges what they answer, and our own arm at toy size."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench.decode_models import CHECK, FULL, Examined, large
from bench.peer_scripts import decode_turns
from bench.peer_scripts.decode_turns import Question, Told, fastest

from bench import decode as bench
from whorl.infer.roof import Roof
from whorl.model.count import parameters
from whorl.model.families import Family


@pytest.fixture(scope="module")
def examined(tmp_path_factory) -> Examined:
    return large(tmp_path_factory.mktemp("large"), CHECK)


def test_the_large_model_is_larger_than_the_issue_asks_and_than_any_cache():
    config = Family.model_validate(FULL.large).configure(FULL.large_vocabulary, FULL.context)
    assert parameters(config).total == 168_846_336
    assert config.kv_heads < config.heads


def test_equal_questions_are_equal_for_every_arm_and_new_in_every_round(examined):
    first, second = (examined.equal(FULL, rows=8, number=number) for number in (0, 1))
    assert first.is_equal
    assert {len(prompt) for prompt in first.prompts} == {128}
    assert len({tuple(prompt) for prompt in (*first.prompts, *second.prompts)}) == 16
    assert examined.equal(FULL, rows=8, number=0) == first


def test_uneven_questions_have_the_same_lengths_in_every_round_and_fit_the_context(examined):
    first, second = (examined.uneven(FULL, number=number) for number in (0, 1))
    assert not first.is_equal
    assert (first.counts, list(map(len, first.prompts))) == (second.counts, list(map(len, second.prompts)))
    assert first.prompts != second.prompts
    assert len(first.prompts) == 32
    assert first.rows == 8
    assert all(8 <= len(prompt) <= FULL.prompt for prompt in first.prompts)
    assert all(4 <= count <= FULL.longest_answer for count in first.counts)
    assert max(map(len, first.prompts)) + max(first.counts) <= FULL.context


def test_no_two_prompts_of_a_run_begin_alike(examined):
    asked = [question for number in range(FULL.rounds) for question in bench._questions(examined, FULL, number).values()]
    asked += [examined.equal(FULL, rows=rows, number=-1) for rows in (1, 8)]
    prompts = [prompt for question in asked for prompt in question.prompts]
    assert len({tuple(prompt[:8]) for prompt in prompts}) == len(prompts)


def test_the_useful_share_of_padded_batches_counts_what_was_asked_for():
    question = Question([[1]] * 4, [1, 3, 4, 4], 2)
    assert bench._useful(question) == round(12 / (2 * 3 + 2 * 4), 3)


def test_our_arm_answers_every_kind_of_question(examined, tmp_path):
    trials = [examined.equal(CHECK, rows=rows, number=-1)._asdict() for rows in (1, 8)]
    task = {"folder": str(examined.folder), "threads": 1, "rows": 8, "mean_context": 15, "trials": trials}
    arm = bench.Asked(bench.OURS, Path(sys.executable), task, tmp_path / "log")
    told = {kind: arm.ask(question) for kind, question in bench._questions(examined, CHECK, 0).items()}
    again = arm.ask(examined.equal(CHECK, rows=8, number=0))
    arm.end()
    assert arm.facts["parameters"] == parameters(Family.model_validate(CHECK.large).configure(512, CHECK.context)).total
    assert [len(row) for row in told["eight"]["ids"]] == [6] * 8
    assert told["eight"]["num_decoded"] == 8 * 5
    assert [len(row) for row in told["uneven"]["ids"]] == examined.uneven(CHECK, number=0).counts
    assert told["one"]["first_s"] + told["one"]["decode_s"] == pytest.approx(told["one"]["total_s"])
    assert again["cpu_s_waiting"] < 0.5


def test_a_prompt_that_was_seen_before_is_never_found_instead_of_computed(tmp_path):
    sizes = replace(CHECK, prompt=80)
    long = large(tmp_path / "model", sizes).equal(sizes, rows=1, number=0)
    task = {"folder": str(tmp_path / "model"), "threads": 1, "rows": 8, "mean_context": 15, "trials": [long._asdict()]}
    with pytest.raises(SystemExit, match="found instead of computed"):
        bench.Asked(bench.OURS, Path(sys.executable), task, tmp_path / "log").ask(long)


def told(tokens: int, decode_s: float, **more) -> dict:
    return {"ids": [[1] * tokens], "first_s": 0.5, "decode_s": decode_s, "total_s": decode_s + 0.5, **more}


def taken(theirs: float, llama: float) -> dict:
    """Ours decodes ten tokens a second; a disturbed round slows all arms alike."""
    said: dict = {kind: {} for kind in bench.KINDS}
    for kind, by in said.items():
        for name, factor in (("whorl", 1.0), ("transformers", theirs), ("llama.cpp", llama)):
            if (name, kind) != ("llama.cpp", "uneven"):
                rounds = [told(11, factor * slow, num_decoded=10, cpu_s_waiting=0.01) for slow in (1.0, 1.0, 7.0)]
                by[name] = rounds
    asked = {kind: [Question([[1]], [11], 1)] for kind in bench.KINDS}
    return {"said": said, "asked": asked, "facts": {"whorl": {"step_bytes": 1000, "parameters": 7}}}


ROOF = Roof(20_000.0, {"plain read": 20_000.0}, "")


def test_a_ratio_is_taken_round_by_round_and_prompts_count_only_where_requests_are_uneven():
    figures = bench._figures(taken(1.5, 0.8), CHECK, ROOF)
    assert figures["ratio"] == figures["ratio_b8"] == 1.5
    assert figures["ratio_llamacpp_b8"] == 0.8
    assert figures["ratio_uneven"] == round(2.0 / 1.5, 3)
    assert figures["tokens_per_s"]["one"] == {"whorl": 10.0, "transformers": 6.7, "llama.cpp": 12.5}
    assert figures["prefill_tokens_per_s"]["one"]["whorl"] == CHECK.prompt / 0.5
    assert figures["mbu"] == 1000 * 10 / 20_000
    assert figures["equal_tokens"]["one"] == {"transformers": 1.0, "llama.cpp": 1.0}


def test_a_place_where_arms_differ_is_counted_once():
    one = taken(1.0, 1.0)
    one["said"]["one"]["transformers"][0] = told(11, 1.0, num_decoded=10, cpu_s_waiting=0.0) | {"ids": [[1] * 10 + [2]]}
    assert bench._equal(one["said"])["one"] == {"transformers": round(32 / 33, 3), "llama.cpp": 1.0}


def test_each_bar_is_held_and_an_aim_is_told():
    good = bench._figures(taken(2.0, 0.95), CHECK, ROOF) | {"int8_share": 0.95, "int4_share": 0.9}
    assert bench._missed({"large": good, "demo": good}) == ["large: ratio_uneven 1.667 < 2.0", "demo: ratio_uneven 1.667 < 2.0"]
    bad = good | {"ratio_uneven": 2.1, "ratio_llamacpp_b8": 0.7, "int4_share": 0.5}
    assert bench._missed({"large": bad, "demo": bad}) == ["large: ratio_llamacpp_b8 0.7 < 0.8", "large: int4_share 0.5 < 0.9"]
    assert bench._aims_missed({"large": bad, "demo": bad}) == [
        "large: mbu 0.5, aim 0.65",
        "demo: mbu 0.5, aim 0.65",
        "demo: ratio_llamacpp_b8 0.7, aim 0.8",
    ]


def test_a_peer_is_taken_in_its_fastest_setting():
    def answering(seconds: list[float]):
        each = iter(seconds)
        return lambda question: Told([], 0.0, next(each), 0.0, 0)

    question = Question([[1]], [2], 1)
    ways = {"cold": answering([0.1, 5.0, 5.0, 5.0]), "good": answering([9.0, 4.0, 2.0, 4.0])}
    assert fastest(ways, question) == "good", "the first answer is a warm-up and does not count"


def test_an_arm_says_what_it_built_and_then_answers_line_by_line(monkeypatch):
    question = Question([[1, 2]], [3], 1)
    lines = [json.dumps({"folder": "f"}), json.dumps(question._asdict())]
    said = io.StringIO()
    monkeypatch.setattr(decode_turns.sys, "stdin", io.StringIO("\n".join(lines)))
    monkeypatch.setattr(decode_turns.os, "fdopen", lambda *given: said)
    monkeypatch.setattr(decode_turns.os, "dup", lambda number: number)
    monkeypatch.setattr(decode_turns.os, "dup2", lambda *given: None)
    decode_turns.take_turns(lambda task: (lambda asked: Told([asked.prompts[0]], 1.0, 2.0, 3.0, 4), {"from": task["folder"]}))
    ready, answer = map(json.loads, said.getvalue().splitlines())
    assert ready == {"ready": True, "from": "f"}
    assert answer.pop("cpu_s_waiting") >= 0
    assert answer == {"ids": [[1, 2]], "first_s": 1.0, "decode_s": 2.0, "total_s": 3.0, "num_decoded": 4}


def test_linears_are_compared_with_the_bare_products_of_the_same_shapes(examined):
    script = bench.SCRIPTS / "decode_linears.py"
    question = json.dumps({"folder": str(examined.folder), "threads": 1, "seconds": 0.0})
    done = subprocess.run([sys.executable, str(script)], input=question, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["rounds"] >= 5
    assert set(found["formats"]) == {"int8", "int4"}
    assert all(gain > 0 for one in found["formats"].values() for gain in one.values())
    assert set(found["ms_per_token"]) == {f"{who} {form}" for who in ("ours", "bare") for form in ("bf16", "int8", "int4")}


def test_peer_scripts_can_be_read_without_their_environments():
    for script in sorted(bench.SCRIPTS.glob("decode_*.py")):
        subprocess.run([sys.executable, "-m", "py_compile", str(script)], check=True)
