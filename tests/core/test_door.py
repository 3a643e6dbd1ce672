from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
from toy_shop.broken import Broken
from toy_shop.filters import Filter
from toy_shop.filters.grown.rules import Grown
from toy_shop.filters.min_words import MinWords

from whorl.core import door
from whorl.core.door import load, member_class, member_names
from whorl.core.errors import ConfigError

OUTSIDE = "toy_shop.filters.min_words:MinWords"


def announce(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Pretend that an installed package has these entry points for the toy filters."""
    found = [EntryPoint(name, value, "toy_shop.filters") for name, value in points.items()]
    monkeypatch.setattr(door, "entry_points", lambda group: [point for point in found if point.group == group])
    member_names.cache_clear()
    monkeypatch.setattr(door, "member_names", member_names.__wrapped__)


def test_a_dotted_name_loads_a_module_or_what_is_in_it() -> None:
    assert isinstance(load("toy_shop.filters"), ModuleType)
    assert load(OUTSIDE) is MinWords


def test_the_folder_is_the_list_and_private_files_are_not_on_it() -> None:
    assert member_names("toy_shop.filters") == ("either", "grown", "min_words")
    assert member_names("toy_shop.nowhere") == ()


def test_a_member_is_found_by_its_file_name_also_when_it_grew_into_a_folder() -> None:
    assert member_class("toy_shop.filters", "min_words", Filter) is MinWords
    assert member_class("toy_shop.filters", "grown", Filter) is Grown


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no 'min_word' behind toy_shop.filters; did you mean 'min_words'"):
        member_class("toy_shop.filters", "min_word", Filter)


@pytest.mark.parametrize(("name", "got"), [("two", "One, Two"), ("none", "none")])
def test_a_member_file_defines_exactly_one_public_subclass(name: str, got: str) -> None:
    with pytest.raises(ConfigError, match=f"toy_shop.broken.{name}: want exactly one public subclass of Broken, got {got}$"):
        member_class("toy_shop.broken", name, Broken)


def test_an_outside_class_needs_trust() -> None:
    with pytest.raises(ConfigError, match="pass --trust toy_shop"):
        member_class("whorl.corpus.filters", OUTSIDE, Filter)
    assert member_class("whorl.corpus.filters", OUTSIDE, Filter, trust={"toy_shop"}) is MinWords


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("toy_shop.nowhere:X", "cannot be loaded: No module named"),
        ("toy_shop.filters:X", "cannot be loaded: module .* has no attribute 'X'"),
        ("toy_shop.filters:abstractmethod", "is not a Filter"),
        ("toy_shop.broken:Broken", "is not a Filter"),
    ],
)
def test_an_outside_name_that_is_no_member_is_an_error(use: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        member_class("whorl.corpus.filters", use, Filter, trust={"toy_shop"})


def test_an_installed_package_joins_through_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, longer="toy_shop.filters.grown.rules:Grown")
    assert member_names.__wrapped__("toy_shop.filters") == ("either", "grown", "longer", "min_words")
    assert member_class("toy_shop.filters", "longer", Filter) is Grown
    assert (
        member_class("toy_shop.filters", "toy_shop.filters.grown.rules:Grown", Filter) is Grown
    )  # as a resolved recipe says it


def test_an_entry_point_must_be_a_member_too(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, odd="toy_shop.broken:Broken")
    with pytest.raises(ConfigError, match="is not a Filter"):
        member_class("toy_shop.filters", "odd", Filter)


def test_an_entry_point_cannot_quietly_replace_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, min_words="toy_shop.filters.grown.rules:Grown")
    with pytest.raises(ConfigError, match=r"is claimed by .*grown.rules:Grown, toy_shop.filters.min_words; uninstall"):
        member_class("toy_shop.filters", "min_words", Filter)
