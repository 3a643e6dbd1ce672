import pytest
from pydantic import TypeAdapter, ValidationError

from whorl.core.canonical import plain
from whorl.core.config import refs_in
from whorl.evals.suites import Suite
from whorl.evals.task_field import ExamTask
from whorl.tasks.benchmarks import Benchmark

ENTRY = TypeAdapter(ExamTask)


def test_a_name_opens_the_door_it_is_behind():
    assert isinstance(ENTRY.validate_python({"use": "reverse"}), Benchmark)
    assert isinstance(ENTRY.validate_python({"use": "bits_per_byte", "data": "ids.exam"}), Suite)


def test_the_two_doors_share_no_name():
    assert not set(Suite.names()) & set(Benchmark.names())


@pytest.mark.parametrize(("wrong", "near"), [("revers", "reverse"), ("bits_per_bite", "bits_per_byte")])
def test_a_wrong_name_is_suggested_from_both_doors(wrong, near):
    with pytest.raises(ValidationError, match=f"no suite or benchmark '{wrong}'; did you mean '{near}'"):
        ENTRY.validate_python({"use": wrong})


def test_what_names_nothing_lists_both_doors():
    with pytest.raises(ValidationError, match=r"want a mapping with 'use: NAME'.*bits_per_byte.*reverse"):
        ENTRY.validate_python("reverse")


def test_an_unknown_key_is_an_error_at_its_place():
    with pytest.raises(ValidationError) as caught:
        ENTRY.validate_python({"use": "recall", "documents": "clean", "num_document": 3})
    assert "did you mean 'num_documents'" in str(caught.value)


def test_an_outside_class_needs_trust():
    with pytest.raises(ValidationError, match="--trust some_package"):
        ENTRY.validate_python({"use": "some_package.tasks:Trick"})


def test_references_inside_entries_are_found_and_spelled():
    entry = ENTRY.validate_python({"use": "bits_per_byte", "data": "ids.exam", "documents": "clean"})
    assert [str(ref) for _, ref in refs_in(entry)] == ["ids.exam", "clean"]
    assert plain(entry)["use"] == "bits_per_byte"
    assert ENTRY.validate_python(plain(entry)) == entry


def test_the_schema_offers_members_of_both_doors():
    schema = str(ENTRY.json_schema())
    assert "'const': 'reverse'" in schema
    assert "'const': 'bits_per_byte'" in schema


@pytest.mark.parametrize("data", ["ids", "ids.train"])
def test_bits_per_byte_refuses_what_models_are_trained_on(data):
    with pytest.raises(ValidationError, match=r"want a part that no model is trained on: 'ids\.held_out' or 'ids\.exam'"):
        ENTRY.validate_python({"use": "bits_per_byte", "data": data})
