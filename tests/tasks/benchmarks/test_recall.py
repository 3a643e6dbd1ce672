import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.core.seed import Seed
from whorl.tasks.benchmarks import Benchmark
from whorl.tasks.named import WORDINGS


def recall(num_documents=400):
    return Benchmark.model_validate({"use": "recall", "documents": "clean", "num_documents": num_documents})


def test_a_question_names_the_thing_and_wants_the_first_sentence(named_folder):
    for question in recall().questions("train", count=100, seed=Seed(1), folders={"clean": named_folder}):
        number = question.operand.removeprefix("document:d")
        assert f"box.tool{number}" in question.messages[0].content
        assert question.answers == (f"Return the number {number} of the box.",)


def test_every_document_is_asked_about_before_any_comes_back(named_folder):
    asked = recall().questions("train", count=61, seed=Seed(1), folders={"clean": named_folder})
    assert len({question.operand for question in asked[:60]}) == 60
    assert asked[60].operand in {question.operand for question in asked[:60]}


def test_exam_and_training_ask_about_the_same_documents_in_other_words(named_folder):
    task, folders = recall(num_documents=20), {"clean": named_folder}
    train = task.questions("train", count=20 * len(WORDINGS["train"]), seed=Seed(1), folders=folders)
    exam = task.questions("exam", count=20 * len(WORDINGS["exam"]), seed=Seed(2), folders=folders)
    assert {question.operand for question in train} == {question.operand for question in exam}
    assert len({question.operand for question in exam}) == 20
    assert not {q.messages[0].content for q in train} & {q.messages[0].content for q in exam}


def test_asking_for_more_than_there_is_says_what_to_change(named_folder):
    with pytest.raises(DataError, match=r"20 documents x 2 wordings; got count 41.*raise num_documents"):
        recall(num_documents=20).questions("exam", count=41, seed=Seed(1), folders={"clean": named_folder})


def test_a_missing_folder_is_named():
    with pytest.raises(ConfigError, match="no folder for documents 'clean'"):
        recall().questions("exam", count=1, seed=Seed(1))
