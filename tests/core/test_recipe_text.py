"""Reading YAML with positions, overrides, and where each error says it comes from; messages are compared whole."""

import math
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator
from toy_shop.filters import Filter

from whorl.core.config import Config
from whorl.core.errors import ConfigError
from whorl.core.recipe_text import Located, apply_overrides, read_yaml, validate


class Clean(Config):
    filters: tuple[Filter, ...] = ()


class Base(Config):
    rows: int = 8
    most: int = 100

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.rows > self.most:
            raise ValueError(f"rows={self.rows}: want at most {self.most}")
        return self


class Recipe(Config):
    name: str
    stages: dict[str, Clean] = Field(default_factory=dict)
    base: Base = Base()


RECIPE = """\
# a comment
name: pocket
stages:
  clean:
    filters:
      - use: min_words
        limit: 3
      - {use: either, of: []}
base: {rows: 8,
       most: 50}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE)
    return Path("recipe.yaml")


def read(text: str, path: Path) -> Located:
    path.write_text(text, encoding="utf-8")
    return read_yaml(path)


def refusal(text: str, path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, path)
    return str(caught.value)


def test_every_place_knows_its_line(recipe: Path) -> None:
    located = read_yaml(recipe)
    assert located.data == yaml.safe_load(RECIPE)
    lines = {".".join(map(str, place)): line for place, line in located.lines.items()}
    assert lines == {
        "": 2,
        "name": 2,
        "stages": 3,
        "stages.clean": 4,
        "stages.clean.filters": 5,
        "stages.clean.filters.0": 6,
        "stages.clean.filters.0.use": 6,
        "stages.clean.filters.0.limit": 7,
        "stages.clean.filters.1": 8,
        "stages.clean.filters.1.use": 8,
        "stages.clean.filters.1.of": 8,
        "base": 9,
        "base.rows": 9,
        "base.most": 10,
    }


def test_a_place_that_is_not_written_has_the_line_of_what_encloses_it(recipe: Path) -> None:
    located = read_yaml(recipe)
    assert located.line_of(("stages", "clean", "filters", 1, "nowhere", "deep")) == 8
    assert located.line_of(("nowhere",)) == 2


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("3e-4", 3e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'3'", "3"),
        ("!!str 3", "3"),
        ("!!float 3", 3.0),
    ],
)
def test_scalars_follow_yaml_1_2(written: str, value: object, tmp_path: Path) -> None:
    found = read(f"x: {written}\n", tmp_path / "r.yaml").data["x"]
    assert (type(found), found) == (type(value), value)


def test_keys_are_always_text(tmp_path: Path) -> None:
    assert read("1: a\nno: b\n2.5: c\n", tmp_path / "r.yaml").data == {"1": "a", "no": "b", "2.5": "c"}


def test_aliases_and_merges_are_followed_and_share_nothing(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: [2]}\nb: *a\nc:\n  <<: *a\n  x: 3\nd:\n  <<: [{z: 5, x: 4}, *a]\n"
    located = read(text, tmp_path / "r.yaml")
    assert located.data == {
        "a": {"x": 1, "y": [2]},
        "b": {"x": 1, "y": [2]},
        "c": {"x": 3, "y": [2]},
        "d": {"x": 4, "y": [2], "z": 5},
    }
    assert located.data["a"]["y"] is not located.data["b"]["y"]
    assert located.line_of(("c", "x")) == 5
    assert located.line_of(("c", "y")) == 1
    assert apply_overrides(located, ["a.y.0=9"]).data["b"] == {"x": 1, "y": [2]}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(
    data=st.dictionaries(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=4), json_values, max_size=4
    )
)
def test_what_pyyaml_writes_with_quotes_is_read_back(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("yaml") / "r.yaml"
    path.write_text(yaml.safe_dump(data, default_style='"', allow_unicode=True, width=math.inf), encoding="utf-8")
    assert read_yaml(path).data == data


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3: duplicate key 'a', also on line 1; keep one of the two"),
        ("x:\n  a: 1\n  'a': 3\n", ":3: duplicate key 'a', also on line 2; keep one of the two"),
        ("", ":1: want a mapping (`key: value` lines)"),
        ("# only a comment\n", ":1: want a mapping (`key: value` lines)"),
        ("- 1\n", ":1: want a mapping (`key: value` lines)"),
        ("\n\njust text\n", ":3: want a mapping (`key: value` lines)"),
        ("a: 1\n---\nb: 2\n", ":2: expected a single document in the stream, but found another document"),
        ("a: *b\n", ":1: found undefined alias 'b'"),
        ("a: [\n", ":2: while parsing a flow node, expected the node content, but found '<stream end>'"),
        ("a: 1\n\tb: 2\n", ":2: while scanning for the next token, found character '\\t' that cannot start any token"),
        ("a: !!python/object:os.system x\n", ":1: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: !!set {x}\n", ":1: the tag 'tag:yaml.org,2002:set' is not allowed"),
        ("a: !!binary aGk=\n", ":1: the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("a: !mine [x]\n", ":1: the tag '!mine' is not allowed"),
        ("a: !!int many\n", ":1: 'many' cannot be read as int"),
        ("a: !!bool maybe\n", ":1: 'maybe' cannot be read as bool"),
        ("a: !!null x\n", ":1: 'x' cannot be read as null"),
        ("a: 1e999\n", ":1: '1e999' cannot be read as float"),
        ("? [a]\n: 1\n", ":1: a key must be plain text"),
        ("a:\n  <<: 3\n", ":2: '<<' wants a mapping or a list of mappings"),
        ("a: &a [*a]\n", ":1: aliases make this endless or too large"),
        ("a: &a {<<: *a}\n", ":1: aliases make this endless or too large"),
        ("a: \x01\n", ":1: unacceptable character #x0001: special characters are not allowed"),
    ],
)
def test_what_is_not_a_recipe_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    assert refusal(text, path) == f"{path}{says}"


@pytest.mark.parametrize("row", ["[*x, *x, *x, *x, *x, *x, *x, *x, *x, *x]", "{<<: [*x, *x, *x, *x, *x, *x, *x, *x, *x, *x]}"])
def test_a_billion_laughs_do_not_fill_the_memory(row: str, tmp_path: Path) -> None:
    lines = ["a0: &a0 {lol: 1}"] + [f"a{n}: &a{n} {row.replace('x', f'a{n - 1}')}" for n in range(1, 10)]
    assert "aliases make this endless or too large" in refusal("\n".join(lines), tmp_path / "r.yaml")


def test_deep_nesting_is_refused_before_python_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    assert refusal("a: " + "[" * 100_000, path) == f"{path}:1: nested more than 64 deep"


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read as UTF-8 text"):
        read_yaml(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: cannot be read as UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")


def told(recipe: Path, *overrides: str, trust: frozenset[str] = frozenset()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(Recipe, apply_overrides(read_yaml(recipe), overrides), trust=trust)
    return str(caught.value).splitlines()


def test_a_good_recipe_becomes_its_model(recipe: Path) -> None:
    made = validate(Recipe, read_yaml(recipe))
    assert (made.name, made.base) == ("pocket", Base(rows=8, most=50))
    assert [member.use for member in made.stages["clean"].filters] == [
        "toy_shop.filters.min_words:MinWords",
        "toy_shop.filters.either:Either",
    ]


def test_each_fault_is_one_line_with_file_line_place_and_remedy(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("limit", "limt").replace("rows: 8", "rows: x"))
    assert told(recipe) == [
        "recipe.yaml:7: stages.clean.filters.0.limt: unknown key; did you mean 'limit'?",
        "recipe.yaml:9: base.rows: got 'x', wanted a valid integer",
    ]


def test_a_missing_key_points_at_what_lacks_it(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("name: pocket", "base_: 1").replace("of: []", ""))
    assert told(recipe) == ["recipe.yaml:2: base_: unknown key; did you mean 'base'?"]
    recipe.write_text(RECIPE.replace("name: pocket\n", "").replace(", of: []", ""))
    assert told(recipe) == [
        "recipe.yaml:2: name: missing, and there is no default",
        "recipe.yaml:7: stages.clean.filters.1.of: missing, and there is no default",
    ]


def test_a_fault_that_an_override_caused_names_the_override(recipe: Path) -> None:
    assert told(recipe, "base.rows=x") == ["override base.rows=x: base.rows: got 'x', wanted a valid integer"]
    assert told(recipe, "stages.clean.filters.0={use: min_words, limt: 3}") == [
        "override stages.clean.filters.0={use: min_words, limt: 3}: "
        "stages.clean.filters.0.limt: unknown key; did you mean 'limit'?"
    ]


def test_a_rule_between_fields_mentions_the_overrides_below_it(recipe: Path) -> None:
    assert told(recipe, "base.rows=60") == ["recipe.yaml:9: base: rows=60: want at most 50 (after override base.rows=60)"]


def test_trust_reaches_the_doors(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("use: min_words", "use: toy_shop.filters.min_words:MinWords"))
    assert told(recipe) == [
        "recipe.yaml:6: stages.clean.filters.0.use: 'toy_shop.filters.min_words:MinWords' is code from outside the house; "
        "if you trust it, pass --trust toy_shop"
    ]
    assert validate(Recipe, read_yaml(recipe), trust=frozenset({"toy_shop"})).name == "pocket"


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("name=no", ("name",), "no"),
        ("name=a=b", ("name",), "a=b"),
        ("base.rows=3e1", ("base", "rows"), 30.0),
        ("base.new=~", ("base", "new"), None),
        ("base={rows: 2}", ("base",), {"rows": 2}),
        ("stages.clean.filters=[]", ("stages", "clean", "filters"), []),
        ("stages.clean.filters.0.limit=2M tokens", ("stages", "clean", "filters", 0, "limit"), "2M tokens"),
        ("stages.clean.filters.1='*.gz'", ("stages", "clean", "filters", 1), "*.gz"),
        ("name=", None, "no value; write null for none and '' for empty text"),
        ("name", None, "want place=value, like a.b=3"),
        ("=3", None, "want place=value, like a.b=3"),
        ("base..rows=3", None, "want place=value, like a.b=3"),
        ("bas.rows=3", None, "no 'bas' in the recipe; did you mean 'base'?"),
        ("stages.claen.filters=[]", None, "no 'claen' in stages; did you mean 'clean'?"),
        ("name.x=3", None, "name is 'pocket', which has no 'x' inside"),
        ("name.x.y=3", None, "name is 'pocket', which has no 'x' inside"),
        ("stages.clean.filters.2=3", None, "no item '2' in stages.clean.filters; want a number from 0 to 1"),
        ("stages.clean.filters.last=3", None, "no item 'last' in stages.clean.filters; want a number from 0 to 1"),
        ("stages.clean.filters.1.of.0=3", None, "no item '0' in stages.clean.filters.1.of; want nothing: the list is empty"),
        ("name=a: b", None, "write collections as [a, b] or {key: value}, or quote the text"),
        (
            "name=*.gz",
            None,
            "while scanning an alias, expected alphabetic or numeric character, but found '.'; quote the value if it is text",
        ),
    ],
)
def test_an_override_sets_one_place_or_says_why_not(
    override: str, place: tuple[str | int, ...] | None, value: object, recipe: Path
) -> None:
    located = read_yaml(recipe)
    if place is None:
        with pytest.raises(ConfigError) as caught:
            apply_overrides(located, [override])
        assert str(caught.value) == f"override {override}: {value}"
        return
    found: Any = apply_overrides(located, [override])
    assert found.origin(place) == f"override {override}"
    for key in place:
        found = found.data[key] if isinstance(found, Located) else found[key]
    assert found == value
    assert located.data == yaml.safe_load(RECIPE), "the original is left alone"


def test_later_overrides_win_also_over_what_lies_below(recipe: Path) -> None:
    located = apply_overrides(read_yaml(recipe), ["base.rows=1", "base.rows=2", "base.most=9"])
    assert located.data["base"] == {"rows": 2, "most": 9}
    assert located.origin(("base", "rows")) == "override base.rows=2"
    located = apply_overrides(located, ["base={rows: 3}"])
    assert located.data["base"] == {"rows": 3}
    assert located.origin(("base", "rows")) == "override base={rows: 3}"
    assert located.origin(("name",)) == "recipe.yaml:2"
