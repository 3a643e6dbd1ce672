from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark

TASK = Benchmark.model_validate({"use": "sort_letters"})


def letters(prompt):
    """The word in a prompt: the run of single small letters."""
    return [piece.strip("?.") for piece in prompt.split() if len(piece.strip("?.")) == 1 and piece.islower()]


def test_letters_are_in_alphabetical_order():
    for question in TASK.questions("train", count=200, seed=Seed(1)):
        prompt = question.messages[0].content.replace("from a to z", "")
        assert question.answers == (" ".join(sorted(letters(prompt))),)


def test_words_that_are_sorted_already_are_not_asked():
    for question in TASK.questions("train", count=500, seed=Seed(1)):
        assert question.answers[0] not in question.messages[0].content
