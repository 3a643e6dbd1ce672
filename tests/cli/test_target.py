import pytest

from whorl.cli.target import go_there, target
from whorl.core.errors import UsageError


def test_no_words_mean_this_folder():
    assert target([]) == (target([]).recipe, ())
    assert str(target([]).recipe) == "."


def test_the_first_word_is_a_recipe_unless_it_sets_something(tmp_path):
    assert target(["my.yaml", "a.b=1"]).overrides == ("a.b=1",)
    assert target(["a.b=1", "c=2"]).overrides == ("a.b=1", "c=2")
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert target([str(odd)]).recipe == odd


def test_a_second_recipe_is_refused():
    with pytest.raises(UsageError, match=r"'two.yaml': want one recipe at most"):
        target(["one.yaml", "two.yaml"])


def test_the_project_of_a_file_is_its_folder(tmp_path):
    file = tmp_path / "r.yaml"
    file.touch()
    assert target([str(file)]).project == tmp_path
    assert target([str(tmp_path)]).project == tmp_path


def test_a_folder_with_a_blank_is_quoted_and_this_folder_needs_no_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert go_there(tmp_path) == []
    assert go_there(tmp_path / "my model") == [f"cd '{tmp_path}/my model'"]
