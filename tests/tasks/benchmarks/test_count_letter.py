from collections import Counter

from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark

TASK = Benchmark.model_validate({"use": "count_letter"})


def test_the_answer_is_how_often_the_letter_occurs_in_the_word():
    for question in TASK.questions("train", count=300, seed=Seed(1)):
        prompt = question.messages[0].content
        single = [piece.strip("?.:") for piece in prompt.split() if len(piece.strip("?.:")) == 1]
        # The letter asked for stands before the word or after it, so it is counted once too often.
        found = Counter(single)
        letter = letter_of(prompt)
        assert question.answers == (str(found[letter] - 1),)


def letter_of(prompt):
    before = {
        "How many times does": 4,
        "Count the letter": 3,
        "How often is": 3,
        "Number of": 2,
        "Please count every": 3,
    }
    return next(prompt.split()[place] for start, place in before.items() if prompt.startswith(start))


def test_the_four_counts_come_about_equally_often():
    counts = Counter(question.answers[0] for question in TASK.questions("train", count=2000, seed=Seed(1)))
    assert set(counts) == {"0", "1", "2", "3"}
    # 500 each; three standard deviations are 58
    assert all(abs(times - 500) < 60 for times in counts.values())


def test_the_best_constant_answer_gets_about_a_quarter():
    questions = TASK.questions("exam", count=400, seed=Seed(1))
    best = max(Counter(question.answers[0] for question in questions).values())
    assert TASK.majority(questions).value == best / 400
    assert TASK.majority(questions).value < 0.35
