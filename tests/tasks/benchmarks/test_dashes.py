from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark

TASK = Benchmark.model_validate({"use": "dashes"})


def letters(prompt):
    """The word in a prompt: the run of single small letters."""
    return [piece.strip("?.") for piece in prompt.split() if len(piece.strip("?.")) == 1 and piece.islower()]


def test_letters_are_joined_by_dashes():
    for question in TASK.questions("train", count=200, seed=Seed(1)):
        word = letters(question.messages[0].content.replace(" a dash ", " "))
        assert question.answers == ("-".join(word),)
