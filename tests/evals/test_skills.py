from types import SimpleNamespace

import pytest

from whorl.core.errors import DataError
from whorl.core.events import Events
from whorl.core.records import Completion, Message, Question, Score
from whorl.core.seed import Seed
from whorl.evals.examinee import Examinee
from whorl.evals.skills import answers_of, examine_skill
from whorl.evals.suites import Sitting
from whorl.evals.tally import Tally
from whorl.tasks.benchmarks import Benchmark
from whorl.tokens.renderer import Renderer
from whorl.tokens.tokenizer import Tokenizer

BROKEN = "b"


class Scripted:
    """A model that answers a prompt with what the script says, and with nothing where it says nothing."""

    def __init__(self, renderer, script):
        self.renderer, self.script = renderer, script

    def answers(self, asked):
        answers = {tuple(self.renderer.prompt(messages)): text for messages, text in self.script}
        return (self._said(answers.get(tuple(one.prompt), ""), one.sampling) for one in asked)

    def _said(self, text, sampling):
        tokenizer = self.renderer.tokenizer
        ids = [*tokenizer.encode(text), tokenizer.end]
        kept = ids[: sampling.max_tokens]
        return Completion(
            tokenizer.decode([token for token in kept if token != tokenizer.end]),
            tuple(kept),
            (0.0,) * len(kept),
            "error" if text == BROKEN else "stop" if kept == ids else "length",
        )


@pytest.fixture
def sit(ground):
    renderer = Renderer(Tokenizer.load(ground.root / "chat"))

    def seated(script, name="chat"):
        return Examinee(name, "none", SimpleNamespace(max_positions=96), Scripted(renderer, script))

    sitting = Sitting({}, Seed(7), Tally(Events("exam", []), 10_000))
    return seated, sitting


TASK = Benchmark.model_validate({"use": "reverse"})


def gold(questions):
    return [(question.messages, question.answers[0]) for question in questions]


def exam_questions(sitting, count):
    return TASK.questions("exam", count=count, seed=sitting.seed.child("reverse"))


def test_a_model_that_knows_every_answer_has_learnt_the_skill(sit):
    seated, sitting = sit
    perfect = seated(gold(exam_questions(sitting, 50)))
    skill = examine_skill(TASK, [perfect], count=50, sitting=sitting)
    result = skill["results"][0]
    assert result["value"] == 1.0
    assert result["is_learnt"]
    assert result["interval"][1] == 1.0
    assert result["interval"][0] == pytest.approx(1 - 3.841459 / (50 + 3.841459), abs=1e-6)  # Wilson at n of n
    assert result["num_empty"] == result["num_cut_off"] == 0
    assert result["wrong"] == []
    assert len(result["right"]) == 3


def test_a_silent_model_scores_zero_and_its_silence_is_counted(sit):
    seated, sitting = sit
    result = examine_skill(TASK, [seated([])], count=20, sitting=sitting)["results"][0]
    assert (result["value"], result["num_empty"], result["is_learnt"]) == (0.0, 20, False)


def test_the_best_constant_answer_is_not_learning(sit):
    seated, sitting = sit
    questions = exam_questions(sitting, 60)
    answer, value = TASK.majority(questions)
    constant = seated([(question.messages, answer) for question in questions])
    skill = examine_skill(TASK, [constant], count=60, sitting=sitting)
    assert skill["majority"]["value"] == skill["results"][0]["value"] == round(value, 6)
    assert not skill["results"][0]["is_learnt"]


def test_half_right_is_half_and_answers_come_in_the_order_of_the_questions(sit):
    seated, sitting = sit
    questions = exam_questions(sitting, 40)
    model = seated(gold(questions[::2]))
    answers = answers_of(model, TASK, questions, sitting=sitting)
    assert [answer.question for answer in answers] == questions
    assert [answer.value for answer in answers] == [1.0, 0.0] * 20


def test_an_answer_that_never_ends_is_cut_off_and_said_to_be(sit):
    seated, sitting = sit
    questions = exam_questions(sitting, 5)
    endless = seated([(question.messages, "x " * 500) for question in questions])
    result = examine_skill(TASK, [endless], count=5, sitting=sitting)["results"][0]
    assert result["num_cut_off"] == 5
    assert 0 < len(result["wrong"][0]["answered"]) < 100


def test_answers_that_broke_off_are_counted(sit):
    seated, sitting = sit
    broken = [(question.messages, BROKEN) for question in exam_questions(sitting, 5)[:2]]
    result = examine_skill(TASK, [seated(broken)], count=5, sitting=sitting)["results"][0]
    assert (result["num_aborted"], result["num_cut_off"], result["value"]) == (2, 0, 0.0)


def test_every_question_is_counted_once_as_progress(sit):
    seated, _ = sit
    for count in (1, 50, 103):
        counted = Sitting({}, Seed(7), Tally(Events("exam", []), 10_000))
        examine_skill(TASK, [seated([])], count=count, sitting=counted)
        assert counted.tally.done == count


def test_models_are_asked_the_same_questions(sit):
    seated, sitting = sit
    questions = exam_questions(sitting, 30)
    skill = examine_skill(TASK, [seated([], "base"), seated(gold(questions))], count=30, sitting=sitting)
    assert [(result["of"], result["value"]) for result in skill["results"]] == [("base", 0.0), ("chat", 1.0)]


class Partial(Benchmark):
    """Half a point for saying anything."""

    title = "say something"

    def questions(self, part, *, count, seed, folders=None):
        return [Question(f"q{i}", (Message("user", f"say {i}"),), ("yes",), f"o{i}") for i in range(count)]

    def check(self, question, answer):
        return Score(0.5 if answer else 0.0)


def test_partial_credit_gets_a_bootstrap_interval(sit):
    seated, sitting = sit
    model = seated([((Message("user", f"say {i}"),), "hm") for i in range(0, 40, 2)])
    result = examine_skill(Partial(), [model], count=40, sitting=sitting)["results"][0]
    low, high = result["interval"]
    assert result["value"] == 0.25
    assert 0.15 < low < 0.25 < high < 0.35


def test_asking_for_more_questions_than_a_part_has_is_an_error(sit):
    seated, sitting = sit
    add = Benchmark.model_validate({"use": "add"})
    with pytest.raises(DataError, match="ask for fewer"):
        examine_skill(add, [seated([])], count=100_000, sitting=sitting)
