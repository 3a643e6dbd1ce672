import json

import pytest

from whorl.core.errors import UsageError
from whorl.infer.bounds import Bounds
from whorl.infer.structure import Structure


def test_equal_wishes_are_equal_and_the_order_of_properties_is_part_of_one():
    first = {"properties": {"a": {}, "b": {}}}
    second = {"properties": {"b": {}, "a": {}}}
    assert Structure.schema(first) == Structure.schema(json.loads(json.dumps(first)))
    assert len({Structure.schema(first), Structure.schema(second), Structure.schema(first, whitespace="none")}) == 3


def test_an_object_is_open_unless_bounds_are_asked_for():
    assert json.loads(Structure.json_object().text) == {
        "type": "object",
        "x-guidance": {"whitespace_pattern": "[ ]|\\n[ ]{0,32}"},
    }
    assert json.loads(Structure.json_object(bounds=Bounds(max_properties=2)).text)["maxProperties"] == 2


def test_true_is_anything_and_a_schema_of_the_caller_is_left_as_it_was():
    assert json.loads(Structure.schema(True, whitespace="none").text) == {"x-guidance": {"whitespace_flexible": False}}
    mine = {"type": "string", "format": "date"}
    Structure.schema(mine, bounds=Bounds())
    assert mine == {"type": "string", "format": "date"}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: Structure.regex(""), "regex: got an empty pattern"),
        (lambda: Structure.choice([]), "choice: got no choices"),
        (lambda: Structure.choice("yes"), r"choice: got the text 'yes'; want a list"),
        (lambda: Structure.choice(["a", ""]), "choice: got ''"),
        (lambda: Structure.choice(["a", 1]), "choice: got 1"),
        (lambda: Structure.choice(["a", "b", "a"]), "choice: got 'a' twice"),
        (lambda: Structure.schema({}, whitespace="sone"), "did you mean 'some'"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(ask, said):
    with pytest.raises(UsageError, match=said):
        ask()
