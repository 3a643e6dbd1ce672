"""Laws of the benchmarks' door: every member obeys them."""

import pytest

from whorl.core.config import PARTS
from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark
from whorl.tasks.parts import part_of

COUNT = 60
ANSWERED_BY_THE_PROMPT = {"last_letter"}  # the answer is one of the letters shown


@pytest.fixture(params=Benchmark.names())
def asked(request, named_folder):
    """A benchmark and a function that asks its questions."""
    config = {"use": request.param}
    if "documents" in Benchmark.find(request.param, frozenset()).model_fields:
        config["documents"] = "clean"
    task = Benchmark.model_validate(config)

    def questions(part, *, count=COUNT, root=7):
        return task.questions(part, count=count, seed=Seed(root), folders={"clean": named_folder})

    return task, questions


@pytest.mark.parametrize("part", PARTS)
def test_gold_scores_one_and_empty_scores_zero(asked, part):
    task, questions = asked
    for question in questions(part):
        assert task.check(question, question.answers[0]).value == 1.0
        assert task.check(question, f" {question.answers[0]}\n").value == 1.0
        assert task.check(question, "").value == 0.0
        assert task.check(question, " \n").value == 0.0


def test_a_prefix_and_a_longer_answer_score_zero(asked):
    task, questions = asked
    for question in questions("exam"):
        gold = question.answers[0]
        assert task.check(question, gold[:-1]).value == 0.0
        assert task.check(question, f"{gold} {gold}").value == 0.0


def test_as_many_questions_as_asked_for_with_ids_of_their_own(asked):
    _, questions = asked
    ids = [question.id for part in PARTS for question in questions(part)]
    assert len(ids) == len(set(ids)) == COUNT * len(PARTS)


def test_the_same_seed_asks_the_same_and_another_does_not(asked):
    _, questions = asked
    assert questions("exam") == questions("exam")
    assert questions("exam") != questions("exam", root=8)


def test_fewer_questions_are_the_beginning_of_more(asked):
    _, questions = asked
    assert questions("train", count=10) == questions("train")[:10]


def test_the_prompt_does_not_hold_the_answer(asked):
    task, questions = asked
    if task.use in ANSWERED_BY_THE_PROMPT:
        assert all(q.answers[0] in q.messages[0].content for q in questions("train")), "take it off the list"
        return
    for question in questions("train"):
        assert question.answers[0] not in question.messages[0].content


def test_operands_never_cross_parts(asked):
    task, questions = asked
    if task.is_recall:  # the same documents on purpose; the wording differs
        prompts = [{q.messages[0].content for q in questions(part)} for part in PARTS]
        assert not prompts[0] & prompts[1] | prompts[0] & prompts[2] | prompts[1] & prompts[2]
        return
    for part in PARTS:
        assert {part_of(question.operand) for question in questions(part)} == {part}


def test_a_question_ends_with_the_user(asked):
    _, questions = asked
    assert all(question.messages[-1].role == "user" for question in questions("exam"))


def test_the_majority_answer_is_never_worth_much(asked):
    task, questions = asked
    answer, value = task.majority(questions("exam"))
    assert answer
    assert 1 / COUNT <= value < 0.5


def test_the_title_is_a_clause(asked):
    task, _ = asked
    assert task.title[0].islower()
    assert not task.title.endswith(".")
