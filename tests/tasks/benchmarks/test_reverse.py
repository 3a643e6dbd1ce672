from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark

TASK = Benchmark.model_validate({"use": "reverse"})


def letters(prompt):
    """The word in a prompt: the run of single small letters."""
    return [piece.strip("?.") for piece in prompt.split() if len(piece.strip("?.")) == 1 and piece.islower()]


def test_the_letters_come_back_to_front():
    for question in TASK.questions("train", count=200, seed=Seed(1)):
        word = letters(question.messages[0].content)
        assert question.answers == (" ".join(reversed(word)),)


def test_every_letter_of_a_long_answer_counts():
    question = TASK.questions("train", count=1, seed=Seed(1))[0]
    gold = question.answers[0]
    assert TASK.check(question, gold.replace(" ", "")).value == 0.0
    assert TASK.check(question, gold[:-1] + "#") == (0.0, "different")
    assert TASK.check(question, gold) == (1.0, "equal")
