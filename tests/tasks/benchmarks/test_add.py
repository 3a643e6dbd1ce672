import re

from whorl.core.config import PARTS
from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark

TASK = Benchmark.model_validate({"use": "add"})


def numbers(question):
    return tuple(int(digits) for digits in re.findall(r"\d+", question.messages[0].content))


def test_the_answer_is_the_sum_of_two_numbers_from_1_to_99():
    for question in TASK.questions("train", count=500, seed=Seed(1)):
        left, right = numbers(question)
        assert 1 <= left <= 99
        assert 1 <= right <= 99
        assert question.answers == (str(left + right),)


def test_no_sum_crosses_parts_by_swapping_its_numbers():
    pairs = [{frozenset(numbers(question)) for question in TASK.questions(part, count=1500, seed=Seed(1))} for part in PARTS]
    assert not pairs[0] & pairs[1] | pairs[0] & pairs[2] | pairs[1] & pairs[2]


def test_both_orders_and_all_sizes_occur():
    asked = {numbers(question) for question in TASK.questions("train", count=6000, seed=Seed(1))}
    assert any((right, left) in asked for left, right in asked if left != right)
    assert {len(str(number)) for pair in asked for number in pair} == {1, 2}


def test_no_pair_comes_twice_before_every_pair_came_once():
    asked = [frozenset(numbers(question)) for question in TASK.questions("exam", count=250, seed=Seed(1))]
    assert len(set(asked)) == 250


def test_all_4950_pairs_belong_to_the_three_parts():
    pairs = set()
    for part in PARTS:
        asked = TASK.questions(part, count=4400 if part == "train" else 320, seed=Seed(2))
        pairs |= {question.operand for question in asked}
    assert len(pairs) <= 4950
    assert len(pairs) > 4900
