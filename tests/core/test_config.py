from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError
from toy_shop.filters import Filter
from toy_shop.filters.either import Either
from toy_shop.filters.min_words import MinWords

from whorl.core.config import UNHASHED, Config, Member, Ref, is_hashed, public_name, refs_in

TRUST = {"trust": {"toy_shop"}}


class Step(Config):
    source: Ref[Literal["documents"]] = Field(alias="from")
    also: tuple[Ref[Literal["documents", "dialogues"]], ...] = ()
    named: dict[str, Ref[Any]] = Field(default_factory=dict)
    workers: int = Field(default=1, json_schema_extra=UNHASHED)


class Clean(Config):
    filters: tuple[Filter, ...] = ()


def errors(model: type[Config], data: object) -> list[tuple[tuple[int | str, ...], str, str]]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return [(error["loc"], error["type"], error["msg"]) for error in caught.value.errors()]


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Step(source=Ref("pages")).workers = 3  # type: ignore[misc]


def test_an_unknown_key_suggests_the_right_one_by_its_public_name() -> None:
    assert errors(Step, {"form": "pages"}) == [((), "unknown_key", "unknown key; did you mean 'from'?")]


def test_a_field_with_an_alias_may_be_written_either_way() -> None:
    assert Step.model_validate({"from": "a"}) == Step.model_validate({"source": "a"}) == Step(source=Ref("a"))
    assert public_name(Step, "source") == "from"
    assert public_name(Step, "workers") == "workers"


def test_defaults_are_validated() -> None:
    class Wrong(Config):
        rows: int = "many"  # type: ignore[assignment]

    assert errors(Wrong, {})[0][:2] == (("rows",), "int_parsing")


def test_fields_say_whether_they_are_part_of_the_identity() -> None:
    assert is_hashed(Step, "source")
    assert not is_hashed(Step, "workers")


def test_a_door_becomes_the_member_it_names() -> None:
    clean = Clean.model_validate({"filters": [{"use": "min_words", "limit": 3}, {"use": "either", "of": [{"use": "grown"}]}]})
    assert clean.filters[0] == MinWords(limit=3)
    assert isinstance(clean.filters[1], Either)
    assert [type(inner).__name__ for inner in clean.filters[1].of] == ["Grown"]


def test_a_built_member_passes_a_door_as_it_is() -> None:
    member = MinWords(limit=3)
    assert Clean(filters=(member,)).filters[0] is member


def test_a_fault_inside_a_member_keeps_its_place() -> None:
    faults = errors(Clean, {"filters": [{"use": "either", "of": [{"use": "min_words", "limit": 0}]}]})
    assert faults == [(("filters", 0, "of", 0, "limit"), "greater_than", "Input should be greater than 0")]


@pytest.mark.parametrize("written", [3, "min_words", {"limit": 3}, {"use": 3}, None])
def test_a_door_wants_a_mapping_with_a_name(written: object) -> None:
    ((place, kind, message),) = errors(Clean, {"filters": [written]})
    assert (place, kind) == (("filters", 0), "want_use")
    assert message.startswith("want a mapping with 'use: NAME' (one of: either, grown, min_words), got ")


def test_an_unknown_member_suggests_the_nearest() -> None:
    assert errors(Clean, {"filters": [{"use": "min_wrods"}]}) == [
        (("filters", 0), "no_member", "no 'min_wrods' behind toy_shop.filters; did you mean 'min_words'?")
    ]


def test_trust_reaches_members_inside_members() -> None:
    inner = {"use": "toy_shop.filters.min_words:MinWords", "limit": 2}
    data = {"filters": [{"use": "either", "of": [inner]}]}
    assert errors(Clean, data)[0][1] == "no_member"
    (either,) = Clean.model_validate(data, context=TRUST).filters
    assert isinstance(either, Either)
    assert either.of == (MinWords(limit=2),)


def test_a_member_built_directly_takes_its_own_name_and_no_other() -> None:
    assert MinWords.model_validate({"use": "toy_shop.filters.min_words:MinWords", "limit": 4}) == MinWords(limit=4)
    assert MinWords.model_validate({"limit": 4}) == MinWords(limit=4)
    ((_, kind, message),) = errors(MinWords, {"use": "grown"})
    assert (kind, message) == ("no_member", "this is 'toy_shop.filters.min_words:MinWords', not 'grown'")
    assert errors(MinWords, 3)[0][1] == "model_type"


def test_a_member_of_the_house_is_called_by_its_file_also_when_it_grew_into_a_folder() -> None:
    class Door(Member, is_door=True):
        __module__ = "whorl.toys.filters"

    class Small(Door):
        __module__ = "whorl.toys.filters.small"

    class Large(Door):
        __module__ = "whorl.toys.filters.large.rules"

    assert (Small().use, Large().use) == ("small", "large")


def test_the_schema_of_a_door_lists_every_member_with_its_fields() -> None:
    choices = Clean.model_json_schema()["$defs"]["Filter"]["anyOf"]
    drawn = {choice["properties"]["use"]["const"]: choice for choice in choices}
    assert sorted(drawn) == ["either", "grown", "min_words"]
    assert drawn["min_words"]["properties"]["limit"] == {
        "default": 50,
        "exclusiveMinimum": 0,
        "title": "Limit",
        "type": "integer",
    }
    assert drawn["either"]["required"] == ["use", "of"]
    assert drawn["either"]["properties"]["of"]["items"] == {"$ref": "#/$defs/Filter"}
    assert MinWords.model_json_schema()["properties"]["limit"]["type"] == "integer"


@pytest.mark.parametrize(
    ("written", "target", "part", "is_path"),
    [
        ("ids", "ids", None, False),
        ("ids.held_out", "ids", "held_out", False),
        ("clean@2", "clean@2", None, False),
        ("clean@2.exam", "clean@2", "exam", False),
        ("clean.v2", "clean.v2", None, False),
        ("./my_model", "./my_model", None, True),
        ("/data/x.train", "/data/x", "train", True),
        (".train", ".train", None, True),
        ({"use": "dialogues", "path": "chats.jsonl"}, "./chats.jsonl", None, True),
        ({"use": "documents", "path": "a/b"}, "a/b", None, True),
    ],
)
def test_a_reference_reads_target_and_part(written: object, target: str, part: str | None, is_path: bool) -> None:
    ref = Ref.parse(written, ("documents", "dialogues"))
    assert (ref.target, ref.part, ref.is_path) == (target, part, is_path)
    assert Ref.parse(str(ref), ()) == ref
    assert len({ref, Ref.parse(str(ref), ())}) == 1


def test_a_reference_that_says_its_kind_has_only_that_kind() -> None:
    assert Ref.parse({"use": "dialogues", "path": "x"}, ("documents", "dialogues")).kinds == ("dialogues",)
    assert Ref.parse("x", ("documents", "dialogues")).kinds == ("documents", "dialogues")
    assert Ref.parse(Ref("x", kinds=("tokens",)), ()).kinds == ("tokens",)
    assert repr(Ref("x", "train")) == "Ref('x.train')"
    assert Ref("x") != "x"


@pytest.mark.parametrize("written", [3, "", "  ", None, {"path": "x"}, ["x"]])
def test_what_cannot_be_a_reference_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="want a stage's name, name@version or a path, got "):
        Ref.parse(written, ())


def test_a_path_of_a_kind_the_field_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="want one of documents, got 'dialogues'"):
        Ref.parse({"use": "dialogues", "path": "x"}, ("documents",))


def test_the_schema_of_a_reference_is_text_or_a_mapping() -> None:
    assert Step.model_json_schema()["properties"]["from"]["type"] == ["string", "object"]


def test_every_reference_is_found_with_its_dotted_place() -> None:
    step = Step.model_validate({"from": "a", "also": ["b", "c.exam"], "named": {"x": "d"}})
    assert [(place, str(ref)) for place, ref in refs_in([step])] == [
        ("0.from", "a"),
        ("0.also.0", "b"),
        ("0.also.1", "c.exam"),
        ("0.named.x", "d"),
    ]


def test_a_path_reference_is_written_with_its_kind_and_reads_back_where_several_kinds_are_taken() -> None:
    kinds = ("tokens", "dialogues")
    chats = Ref.parse({"use": "dialogues", "path": "chats.jsonl"}, kinds)
    assert chats.written == {"use": "dialogues", "path": "./chats.jsonl"}
    again = Ref.parse(chats.written, kinds)
    assert (again.target, again.kinds) == ("./chats.jsonl", ("dialogues",))
    assert Ref.parse("ids.held_out", kinds).written == "ids.held_out"
