"""evals/skills: ask models the questions of a benchmark and say what they got right.

Greedy answers through the engine, the same questions and the same rendered prompts for every model. Beside every score: its
interval, the best constant answer to these very questions, and whether the score is surely above it. Judges no free text.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from whorl.core.errors import DataError
from whorl.core.records import Question
from whorl.core.seed import Seed
from whorl.evals.examinee import Examinee
from whorl.evals.figures import drawn
from whorl.evals.suites import Sitting
from whorl.infer.answer import Asked
from whorl.infer.request import Sampling
from whorl.measure.intervals import Interval, bootstrap, wilson
from whorl.tasks.benchmarks import Benchmark

__all__ = ["Answer", "answers_of", "examine_skill"]

_BETWEEN = 50  # questions answered between two reports of progress
_SHOWN = 3  # right and wrong answers each, kept as samples
_SLACK = 4  # tokens a model may say beyond one and a half times the longest right answer: enough to see what goes wrong


class Answer(NamedTuple):
    """What a model said to one question, and its score."""

    question: Question
    text: str
    value: float
    finish: str


def examine_skill(task: Benchmark, models: Sequence[Examinee], *, count: int, sitting: Sitting) -> dict[str, Any]:
    """One skill of the report, JSON-ready. Questions are always those of the exam part."""
    seed = sitting.seed.child(task.use)
    questions = task.questions("exam", count=count, seed=seed, folders=sitting.folders)
    majority = task.majority(questions)
    results = []
    for model in models:
        answers = answers_of(model, task, questions, sitting=sitting)
        results.append(_result(model.name, answers, majority.value, seed=seed.child("bootstrap")))
    return {
        "use": task.use,
        "title": task.title,
        "is_recall": task.is_recall,
        "unit": "share of answers right",
        "n": len(questions),
        "n_unit": "questions",
        "num_operands": len({question.operand for question in questions}),
        "majority": {"answer": majority.answer, "value": drawn(majority.value)},
        "results": results,
    }


def answers_of(model: Examinee, task: Benchmark, questions: Sequence[Question], *, sitting: Sitting) -> list[Answer]:
    """The model's greedy answers, in the order of the questions."""
    tokenizer = model.renderer.tokenizer
    prompts = [model.renderer.prompt(question.messages) for question in questions]
    longest = max(len(tokenizer.encode(right)) for question in questions for right in question.answers)
    room = model.config.max_positions - max(len(prompt) for prompt in prompts)
    if room <= longest:
        raise DataError(
            f"task '{task.use}': a right answer takes {longest} tokens and its end, but '{model.name}' has a context of "
            f"{model.config.max_positions} and {room} left after the longest question; examine a model with a longer context"
        )
    sampling = Sampling(max_tokens=min(longest + longest // 2 + _SLACK, room))
    answers: list[Answer] = []
    for question, said in zip(questions, model.model.answers(Asked(prompt, sampling) for prompt in prompts), strict=True):
        answers.append(Answer(question, said.text, task.check(question, said.text).value, said.finish))
        if len(answers) % _BETWEEN == 0 or len(answers) == len(questions):
            sitting.tally.add((len(answers) - 1) % _BETWEEN + 1, doing=f"{task.use} of {model.name}")
    return answers


def _result(name: str, answers: Sequence[Answer], majority: float, *, seed: Seed) -> dict[str, Any]:
    values = np.array([answer.value for answer in answers])
    interval = _interval(values, seed)
    right = [answer for answer in answers if answer.value == 1.0]
    wrong = [answer for answer in answers if answer.value < 1.0]
    return {
        "of": name,
        "value": drawn(float(values.mean())),
        "interval": [drawn(end) for end in interval],
        "is_learnt": bool(interval.low > majority),
        "num_empty": sum(not answer.text.strip() for answer in answers),
        "num_cut_off": sum(answer.finish == "length" for answer in answers),
        "num_aborted": sum(answer.finish == "error" for answer in answers),
        "right": [_shown(answer) for answer in right[:_SHOWN]],
        "wrong": [_shown(answer) for answer in wrong[:_SHOWN]],
    }


def _interval(values: np.ndarray, seed: Seed) -> Interval:
    """Wilson where answers are right or wrong, a bootstrap over questions where a checker gives part of the credit."""
    if np.isin(values, (0.0, 1.0)).all():
        return wilson(int(values.sum()), len(values))
    return bootstrap(values, np.ones(len(values)), seed=seed)


def _shown(answer: Answer) -> dict[str, str]:
    asked = answer.question.messages[-1].content
    return {"asked": asked, "answered": answer.text, "wanted": answer.question.answers[0]}
