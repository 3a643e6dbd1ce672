import pytest

from whorl.core.errors import DataError
from whorl.tasks.asking import Case, ask
from whorl.tasks.parts import part_of

CASES = [Case(f"ask {i % 40}", str(i % 40), f"operand {i % 40}") for i in range(80)]


def test_every_question_is_asked_once_and_belongs_to_the_part():
    wanted = [case for case in CASES[:40] if part_of(case.operand) == "train"]
    asked = ask("echo", iter(CASES), part="train", count=len(wanted))
    assert [question.messages[0].content for question in asked] == [case.prompt for case in wanted]
    assert len({question.id for question in asked}) == len(wanted)


def test_asking_for_more_than_there_is_says_how_many_there_are():
    num_there = sum(part_of(case.operand) == "train" for case in CASES[:40])
    with pytest.raises(DataError, match=f"task 'echo': part 'train' has {num_there} different questions; got count 100"):
        ask("echo", iter(CASES), part="train", count=100)


def test_asking_for_none_draws_nothing():
    assert ask("echo", iter([]), part="exam", count=0) == []
