"""Answers drawn at random under a guide, by a model that knows nothing, are what was asked for."""

import json
import re
import sys
from decimal import Decimal

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError, ResourceError, UsageError
from whorl.infer.bounds import Bounds
from whorl.infer.guide import GuideLimits, Guides, StructureGuide
from whorl.infer.structure import Structure

END, STOP, PAD = 256, 257, 258
PIECES = [
    *[bytes([byte]) for byte in range(256)],
    b"<end>",
    b"<stop>",
    b"",
    *[b'": "', b'", "', b"the", b"\xf0\x9f\x98", b"\x80\xc3", b"2023-02-", b"0.", b"00", b'{"a":', b"ab", b"ab", b""],
]
GUIDES = Guides(PIECES, stop_ids=[END, STOP], special_ids=[PAD])
SMALL = Bounds(max_length=6, max_items=3, max_properties=2, max_digits=3, max_depth=2)


def follow(guide: StructureGuide, text: bytes) -> StructureGuide:
    for byte in text:
        assert guide.allowed()[byte], f"{chr(byte)!r} of {text!r} is not allowed"
        guide.accept(byte)
    return guide


def may_follow(structure: Structure, text: bytes) -> list[bytes]:
    allowed = follow(GUIDES.guide(structure), text).allowed()
    return [PIECES[token] for token in np.flatnonzero(allowed)]


def walk(structure: Structure, seed: int, *, most: int = 4000) -> str:
    """An answer drawn from what is allowed, some tokens likelier than others."""
    rng = np.random.default_rng(seed)
    weights = rng.random(len(PIECES)) ** 2
    guide, said = GUIDES.guide(structure), b""
    for _ in range(most):
        allowed = np.flatnonzero(guide.allowed())
        token = int(rng.choice(allowed, p=weights[allowed] / weights[allowed].sum()))
        guide.accept(token)
        if token in (END, STOP):
            assert guide.is_finished
            return said.decode()
        said += PIECES[token]
    raise AssertionError(f"no end after {most} tokens: {said[:200]!r}")


def faults(schema, text: str) -> list[str]:
    """What jsonschema finds wrong, numbers taken as they are written."""
    exact = json.loads(json.dumps(schema), parse_float=Decimal)
    kind = jsonschema.validators.validator_for(exact, default=jsonschema.Draft202012Validator)
    kind.check_schema(schema)
    judge = kind(exact, format_checker=kind.FORMAT_CHECKER)
    return [fault.message for fault in judge.iter_errors(json.loads(text, parse_float=Decimal))]


names = st.sampled_from(["a", "b", "key", "\u00e9 x", 'q"'])
counts = st.integers(0, 3)
formats = st.sampled_from(["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])
strings = st.fixed_dictionaries({"type": st.just("string")}) | st.one_of(
    st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, counts, counts),
    st.builds(lambda name: {"type": "string", "format": name}, formats),
    st.builds(lambda pattern: {"type": "string", "pattern": pattern}, st.sampled_from(["^a+b?$", "[0-9]{2}", "^(x|yz){1,2}$"])),
)
numbers = st.one_of(
    st.builds(
        lambda kind, low, width: {"type": kind, "minimum": low, "maximum": low + width},
        st.sampled_from(["integer", "number"]),
        st.integers(-20, 20),
        st.integers(0, 40),
    ),
    st.builds(
        lambda low, width: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + width},
        st.sampled_from([-1, -0.5, 0, 0.25, 1, 1.5]),
        st.sampled_from([0.5, 1, 2.25]),
    ),
    st.builds(
        lambda low, step: {"type": "number", "exclusiveMinimum": low, "multipleOf": step},
        st.integers(-5, 5),
        st.sampled_from([0.05, 0.5, 3]),
    ),
)
constants = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, "a", "\u00e9"]),
    lambda one: st.lists(one, max_size=2),
)
DEFINITIONS = {
    "tree": {
        "type": "object",
        "properties": {"v": {"type": "integer"}, "of": {"items": {"$ref": "#/$defs/tree"}, "type": "array"}},
    },
    "word": {"type": "string", "pattern": "^[a-z]{1,3}$"},
}
leaves = st.one_of(
    strings,
    numbers,
    st.builds(lambda value: {"const": value}, constants),
    st.just({}),
    st.just({"type": ["null", "boolean"]}),
    st.builds(lambda name: {"$ref": f"#/$defs/{name}"}, st.sampled_from(sorted(DEFINITIONS))),
)


def _objects(of):
    properties = st.dictionaries(names, of, min_size=1, max_size=3)
    return st.builds(
        lambda found, some: {"type": "object", "properties": found, "required": [one for one in found if one in some]},
        properties,
        st.sets(names),
    )


schemas = st.recursive(
    leaves,
    lambda of: st.one_of(
        _objects(of),
        st.builds(lambda item, low: {"type": "array", "items": item, "minItems": low, "maxItems": low + 2}, of, counts),
        st.builds(
            lambda first, rest: {"type": "array", "prefixItems": first, "items": rest}, st.lists(of, min_size=1, max_size=2), of
        ),
        st.builds(lambda found: {"anyOf": found}, st.lists(of, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)


@given(schemas, st.integers(0, 1000), st.sampled_from(["none", "some"]))
def test_what_a_model_says_under_a_schema_is_valid(schema, seed, whitespace):
    schema = {**schema, "$defs": DEFINITIONS}
    text = walk(Structure.schema(schema, whitespace=whitespace, bounds=SMALL), seed)
    assert faults(schema, text) == [], text


@pytest.mark.parametrize(
    ("structure", "pattern"),
    [
        (Structure.regex(r"(ab|c){1,4}\d?"), r"(ab|c){1,4}[0-9]?"),
        (Structure.regex(r"[^\x00-\x7f]{2}/\w+!?"), r"[^\x00-\x7f]{2}/[0-9A-Za-z_]+!?"),
        (Structure.regex("<end>|<stop>a"), "<end>|<stop>a"),
        (Structure.choice(["a", "ab", 'abc\n"x\\', "\x00\x7f\U0001f600", "$x(%"]), None),
    ],
)
def test_what_a_model_says_under_a_pattern_or_choices_is_one_of_them(structure, pattern):
    found = {walk(structure, seed) for seed in range(40)}
    if pattern is None:
        assert found == set(json.loads(structure.text))
    else:
        assert len(found) > 1
        assert all(re.fullmatch(pattern, text) for text in found)


def test_any_json_object_is_an_object():
    found = [json.loads(walk(Structure.json_object(bounds=SMALL), seed)) for seed in range(20)]
    assert all(isinstance(one, dict) for one in found)
    assert any(found)


def stepwise(guide: StructureGuide, draft: list[int]) -> int:
    """How many tokens of a draft are allowed, each after those before it."""
    for count, token in enumerate(draft):
        if not 0 <= token < len(PIECES) or not guide.allowed()[token]:
            return count
        guide.accept(token)
        if token in (END, STOP):
            return count + 1
    return len(draft)


@settings(max_examples=30)
@given(schemas, st.integers(0, 1000), st.integers(0, 30), st.integers(0, 40))
def test_a_draft_is_accepted_as_far_as_its_tokens_would_be_one_by_one(schema, seed, cut, wrong_at):
    structure = Structure.schema({**schema, "$defs": DEFINITIONS}, whitespace="none", bounds=SMALL)
    said = walk(structure, seed).encode()
    before, draft = said[:cut], [*said[cut:], STOP, END, len(PIECES), -1]
    draft[min(wrong_at, len(draft) - 1)] += 1
    found = follow(GUIDES.guide(structure), before).accepted_by(draft)
    assert found == stepwise(follow(GUIDES.guide(structure), before), draft)


def test_asking_about_a_draft_changes_nothing():
    structure = Structure.regex("ab?")
    guide = GUIDES.guide(structure)
    assert [guide.accepted_by(draft) for draft in ([97, 98, END], [97, END, 97], [98], [], [97, 98, 98])] == [3, 2, 0, 0, 2]
    assert guide.accepted_by([97, len(PIECES)]) == 1
    assert may_follow(structure, b"") == [b"a", b"ab", b"ab"]
    assert np.flatnonzero(guide.allowed()).tolist() == [97, PIECES.index(b"ab"), PIECES.index(b"ab") + 1]
    guide = follow(guide, b"ab")
    assert guide.accepted_by([END, 97]) == 1
    assert guide.accepted_by([98]) == 0
    guide.accept(STOP)
    assert guide.accepted_by([END]) == 0


@settings(max_examples=15)
@given(schemas, st.integers(0, 1000), st.integers(0, 12))
def test_a_mask_allows_exactly_the_tokens_that_are_accepted(schema, seed, cut):
    structure = Structure.schema({**schema, "$defs": DEFINITIONS}, bounds=SMALL)
    guide = follow(GUIDES.guide(structure), walk(structure, seed).encode()[:cut])
    allowed = guide.allowed()
    assert allowed.dtype == np.bool_
    assert allowed.tolist() == [guide.accepted_by([token]) == 1 for token in range(len(PIECES))]


def test_an_answer_may_end_only_where_the_structure_is_complete():
    guide = GUIDES.guide(Structure.schema({"type": "integer", "minimum": 10, "maximum": 19}))
    assert not guide.allowed()[[END, STOP]].any()
    follow(guide, b"1")
    assert not guide.allowed()[[END, STOP]].any()
    assert not guide.is_finished
    follow(guide, b"2")
    assert np.flatnonzero(guide.allowed()).tolist() == [END, STOP]
    assert guide.is_finished


def test_what_may_go_on_is_complete_but_not_finished():
    guide = follow(GUIDES.guide(Structure.regex("ab?")), b"a")
    assert guide.is_complete
    assert not guide.is_finished
    guide.accept(END)
    assert guide.is_finished
    with pytest.raises(AssertionError, match="ended"):
        guide.allowed()


def test_special_ids_are_never_part_of_the_text_whatever_they_spell():
    structure = Structure.regex("<end>(?s:.)*")
    assert may_follow(structure, b"") == [b"<"]
    allowed = follow(GUIDES.guide(structure), b"<end>").allowed()
    assert not allowed[PAD], "not even where any character may come"
    assert allowed[END], "which ends the answer here"


def test_a_token_that_holds_half_a_character_may_open_it():
    assert b"\xf0\x9f\x98" in may_follow(Structure.choice(["\U0001f600"]), b"")
    assert may_follow(Structure.choice(["\U0001f600", "\U0001f601"]), b"\xf0\x9f\x98") == [b"\x80", b"\x81"]


def test_days_that_do_not_exist_are_refused_as_they_are_spelled():
    day = Structure.schema({"type": "string", "format": "date"})
    assert b"9" not in may_follow(day, b'"2023-02-2')
    assert b"9" in may_follow(day, b'"2024-02-2')
    assert b"0" not in may_follow(day, b'"000')
    assert b"6" not in may_follow(Structure.schema({"type": "string", "format": "time"}), b'"23:59:')


def test_two_answers_under_one_structure_know_nothing_of_each_other():
    structure = Structure.choice(["ab", "cd"])
    left, right = GUIDES.guide(structure), GUIDES.guide(structure)
    follow(left, b"a")
    assert right.allowed()[ord("c")]
    follow(right, b"cd")
    assert not left.is_finished


def test_a_structure_is_compiled_once_and_the_oldest_is_forgotten(monkeypatch):
    guides = Guides(PIECES, stop_ids=[END], kept=2)
    compiled: list[str] = []
    compile_it = guides._compile
    monkeypatch.setattr(guides, "_compile", lambda one: compiled.append(one.text) or compile_it(one))
    for pattern in ("a", "b", "a", "c", "a", "b"):
        guides.guide(Structure.regex(pattern))
    assert compiled == ["a", "b", "c", "b"]


def test_a_vocabulary_that_cannot_go_on_ends_the_answer_with_an_error():
    guides = Guides([b"a", b"b", b"<end>"], stop_ids=[2])
    guide = guides.guide(Structure.regex("acb|ab"))
    guide.accept(0)
    assert np.flatnonzero(guide.allowed()).tolist() == [1]
    stuck = guides.guide(Structure.regex("ac"))
    stuck.accept(0)
    with pytest.raises(DataError, match="no token of this vocabulary can go on"):
        stuck.allowed()
    with pytest.raises(DataError, match="no token"):
        stuck.allowed()


def test_a_key_that_cannot_be_new_ends_the_answer_with_an_error():
    only = {"type": "object", "properties": {"ab": {"type": "null"}}, "required": ["ab"], "patternProperties": {"^ab$": True}}
    guide = GUIDES.guide(Structure.schema({**only, "additionalProperties": False}, whitespace="none"))
    follow(guide, b'{"ab":nul')
    guide.accept(ord("l"))
    guide.allowed()
    guide.accept(ord(","))
    with pytest.raises(DataError, match="no token"):
        guide.allowed()


def test_a_token_that_is_not_allowed_is_a_fault_of_ours():
    guide = GUIDES.guide(Structure.regex("a"))
    with pytest.raises(AssertionError, match="not allowed"):
        guide.accept(98)


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        (lambda: Structure.regex("("), "regex: .*unclosed group"),
        (lambda: Structure.regex("(?=a)b"), "regex: .*look-around"),
        (lambda: Structure.regex(r"(a)\1"), "regex: .*backreferences"),
        (lambda: Structure.schema({"type": "string", "pattern": "(?!a)"}), "json schema: .*look-around"),
        (lambda: Structure.schema({"type": "text"}), "Invalid type: text"),
        (lambda: Structure.schema({"type": "string", "format": "color"}), "Unknown format: color"),
        (lambda: Structure.schema({"type": "integer", "minimum": 5, "maximum": 3}), "Unsatisfiable"),
        (lambda: Structure.schema(False), "Unsatisfiable"),
        (lambda: Structure.schema({"oneOf": [{"type": "number"}, {"type": "integer"}]}), "oneOf"),
        (lambda: Structure.schema({"$ref": "#/$defs/no"}), "does not exist"),
        (lambda: Structure.schema({"$ref": "http://x.org/s"}), "not fetch|retrieve|Retrieve"),
        (lambda: Structure.schema({"type": "string", "minLength": "x"}), "minLength"),
    ],
)
def test_a_structure_that_cannot_be_is_refused_before_anything_is_said(structure, said):
    with pytest.raises(UsageError, match=said) as refused:
        GUIDES.guide(structure())
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("limits", "schema", "said"),
    [
        ({"max_bytes": 100}, {"enum": ["a" * 200]}, "bytes; want at most 100"),
        (
            {"max_grammar_size": 200},
            {"type": "object", "properties": {f"k{n}": {} for n in range(99)}},
            "limit for this grammar: 200.*raise the limits",
        ),
        (
            {"initial_lexer_fuel": 50},
            {"type": "string", "pattern": "^(a|b|c){99}(d|e){99}$"},
            "lexer.*too big.*raise the limits",
        ),
    ],
)
def test_a_structure_past_a_limit_is_refused_by_that_limit(limits, schema, said):
    structure = Structure.schema(schema)
    GUIDES.guide(structure)
    with pytest.raises(UsageError, match=said):
        Guides(PIECES, stop_ids=[END], limits=GuideLimits(**limits)).guide(structure)


def test_an_answer_past_a_limit_ends_with_an_error_and_hurts_no_other():
    guides = Guides(PIECES, stop_ids=[END], limits=GuideLimits(max_lexer_states=150))
    hard = Structure.regex("(a|b)*a(a|b){12}|c+")
    before, guide, other = guides.guide(hard), guides.guide(hard), guides.guide(Structure.regex("[ab]+"))
    follow(before, b"c")
    letters = bytes(np.random.default_rng(0).integers(97, 99, 400).tolist())
    with pytest.raises(ResourceError, match=r"regex: .*raise the limits"):
        follow(guide, letters)
    follow(other, letters)
    assert follow(before, b"ccc").accepted_by([99, 99, 97]) == 2
    assert follow(guides.guide(hard), b"ccc").is_complete


def test_many_answers_under_one_structure_do_not_use_it_up():
    guides = Guides(PIECES, stop_ids=[END], limits=GuideLimits(max_lexer_states=150))
    structure = Structure.regex("(a|b)*a(a|b){12}")
    for seed in range(12):
        letters = bytes(np.random.default_rng(seed).integers(97, 99, 40).tolist())
        follow(guides.guide(structure), letters)


def test_without_llguidance_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ResourceError, match=r"pip install 'whorl\[guide\]'"):
        Guides(PIECES, stop_ids=[END])


@pytest.mark.parametrize(("stop_ids", "special_ids"), [([], [1]), ([len(PIECES)], []), ([END], [-1])])
def test_a_vocabulary_in_which_nothing_ends_an_answer_is_refused(stop_ids, special_ids):
    with pytest.raises(UsageError, match="one to stop"):
        Guides(PIECES, stop_ids=stop_ids, special_ids=special_ids)
