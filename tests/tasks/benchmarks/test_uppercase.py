from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark

TASK = Benchmark.model_validate({"use": "uppercase"})


def letters(prompt):
    """The word in a prompt: the run of single small letters."""
    return [piece.strip("?.") for piece in prompt.split() if len(piece.strip("?.")) == 1 and piece.islower()]


def test_every_letter_is_a_capital_and_in_its_place():
    for question in TASK.questions("train", count=200, seed=Seed(1)):
        word = letters(question.messages[0].content)
        assert question.answers == (" ".join(word).upper(),)
        assert TASK.check(question, question.answers[0].lower()).value == 0.0
