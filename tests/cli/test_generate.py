"""`generate` with a model that says everything backwards."""

import io
import json

import pytest
from toy_speaker import Parrot


@pytest.fixture
def model(monkeypatch):
    parrot = Parrot()

    def load(checkpoint, project, **how):
        parrot.how = how
        return parrot

    monkeypatch.setattr("whorl.api.load", load)
    return parrot


@pytest.fixture
def ask(done, model):
    """The command, of a toy's checkpoint."""
    return lambda *arguments: done("generate", *arguments, "--model", "climb")


@pytest.fixture
def prompts(tmp_path):
    def write(*lines):
        path = tmp_path / "prompts.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
        return str(path)

    return write


def test_a_text_is_gone_on_with_and_shown_while_it_is_said(ask, model):
    assert ask("abc").out == "cba\n"
    assert model.asked_for[0].prompt == "abc"
    assert ask("\nabc").out == "cba\n"  # ends with a line of its own


def test_without_a_prompt_standard_input_is_one(ask, model, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines"))
    assert ask().out == "senil\nowt\n"


def test_a_user_s_turn_is_answered_after_the_system_s_words(ask, model):
    assert ask("abc", "--chat", "--system", "go").out == "cba\n"
    assert [tuple(message) for message in model.asked_for[0].prompt] == [("system", "go"), ("user", "abc")]


def test_json_tells_all_of_an_answer(ask):
    assert ask("ab", "--json", "--logprobs", "1").document == {
        "prompt": "prompt",
        "answer": 0,
        "text": "ba",
        "finish": "stop",
        "num_tokens": 2,
        "num_prompt": 2,
        "num_cached": 0,
        "num_drafted": 0,
        "num_accepted": 0,
        "tokens": [
            {"id": 98, "text": "b", "logprob": -0.5, "top": [{"id": 98, "text": "b", "logprob": -0.5}]},
            {"id": 97, "text": "a", "logprob": -0.5, "top": [{"id": 97, "text": "a", "logprob": -0.5}]},
        ],
    }


def test_several_answers_draw_each_for_themselves(ask, model):
    lines = ask("ab", "-t", "1", "-n", "3", "--seed", "9", "--json").lines
    assert [line["answer"] for line in lines] == [0, 1, 2]
    assert len({line["text"] for line in lines}) == 3
    again = ask("ab", "-t", "1", "-n", "3", "--seed", "9", "--json").lines
    assert [line["text"] for line in again] == [line["text"] for line in lines]
    assert model.asked_for[0].sampling.seed == 9
    assert ask("ab", "-n", "2").out == "ba\nba\n"


def test_an_answer_may_be_as_long_as_there_is_room_and_no_longer(ask, model):
    ask("x" * 40)
    assert model.asked_for[-1].sampling.max_tokens == 20
    refused = ask("x" * 40, "--max-tokens", "21")
    assert (refused.code, refused.err) == (1, "error: prompt: the prompt has 40 tokens; shorten it\n")


def test_prompts_of_a_file_are_answered_in_order_texts_and_dialogues(ask, model, prompts):
    dialogue = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x"}]}
    dialogue["messages"].append({"role": "user", "content": "cd"})
    path = prompts({"prompt": "ab"}, "", {**dialogue, "id": "second"})
    lines = ask("--prompts", path, "--json").lines
    assert [(line["prompt"], line["text"]) for line in lines] == [(f"{path}:1", "ba"), ("second", "dc")]
    assert len(model.asked_for[1].prompt) == 3
    assert ask("--prompts", path).out == "ba\ndc\n"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "prompts.jsonl:2: no JSON"),
        ("[]", 'prompts.jsonl:2: want one of {"prompt": TEXT}'),
        ({"prompt": "a", "messages": []}, "prompts.jsonl:2: want one of"),
        ({"prompt": 3}, "prompts.jsonl:2: prompt is int; want text"),
        ({"messages": [{"role": "you", "content": "a"}]}, "prompts.jsonl:2: not a dialogue"),
        ({"prompt": "x" * 80}, "prompts.jsonl:2: the prompt has 80 tokens"),
    ],
)
def test_a_line_that_cannot_be_answered_is_named_before_anything_is_said(ask, prompts, line, fault, model):
    said = ask("--prompts", prompts({"prompt": "ab"}, line), "--max-tokens", "4")
    assert (said.code, said.out) == (1, "")
    assert fault in said.err
    assert model.asked_for == []


def test_what_is_said_in_two_ways_or_in_none_is_refused(ask, prompts, tmp_path, monkeypatch):
    path = prompts({"prompt": "ab"})
    (tmp_path / "bad.json").write_text("{")
    for arguments, fault in {
        ("ab", "--prompts", path): "--prompts FILE says what is asked and how",
        ("--chat", "--prompts", path): "--prompts FILE says what is asked and how",
        ("ab", "--system", "go"): "--system goes with --chat",
        ("ab", "--regex", "a", "--choice", "b"): "--regex and --choice: want one of them",
        ("ab", "--schema", str(tmp_path / "none.json")): "No such file or directory; want a file that holds a JSON Schema",
        ("ab", "--schema", str(tmp_path / "bad.json")): "is no JSON",
        ("ab", "--top-p", "0"): "top_p=0.0; want more than 0",
        ("--prompts", str(tmp_path / "none.jsonl")): "want a file of JSON lines",
    }.items():
        said = ask(*arguments)
        assert (said.code, fault in said.err) == (3, True), said.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    said = ask()
    assert (said.code, "no prompt; want one as PROMPT" in said.err) == (3, True)


def test_a_file_without_prompts_is_an_error(ask, prompts):
    said = ask("--prompts", prompts(""))
    assert (said.code, "holds no prompts" in said.err) == (1, True)


def test_structures_reach_the_model(ask, model, tmp_path):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    assert ask("ab", "--schema", str(tmp_path / "schema.json")).code == 0
    ask("ab", "--regex", "[0-9]+")
    ask("ab")
    kinds = [asked.form.kind if asked.form else None for asked in model.asked_for]
    assert kinds == ["json schema", "regex", None]


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string", "maxLength": 999}}}


@pytest.fixture
def schema_file(tmp_path):
    def write(schema):
        (tmp_path / "schema.json").write_text(json.dumps(schema))
        return str(tmp_path / "schema.json")

    return write


def test_a_schema_is_bounded_and_what_was_added_is_said(ask, model, schema_file):
    said = ask("ab", "--schema", schema_file(SCHEMA), "--json")
    bounded = json.loads(model.asked_for[0].form.text)
    assert bounded["properties"] == {"a": {"type": "string", "maxLength": 256}, "b": {"type": "string", "maxLength": 999}}
    assert bounded["additionalProperties"] is False
    told = " ".join(said.err.split())
    assert "maxLength: 256 at #/properties/a; additionalProperties: false at #. Limits of its own come first" in told
    assert "properties/b" not in told
    assert said.document["text"] == "ba"


def test_a_schema_without_open_ends_is_taken_as_it_is(ask, model, schema_file):
    closed = {"type": "array", "items": {"type": "boolean"}, "maxItems": 5}
    assert ask("ab", "--schema", schema_file(closed)).err == ""
    own = json.loads(model.asked_for[0].form.text)
    assert {word: own[word] for word in closed} == closed


def test_a_schema_may_be_left_open(ask, model, schema_file):
    said = ask("ab", "--schema", schema_file(SCHEMA), "--unbounded")
    assert (said.code, said.err) == (0, "")
    own = json.loads(model.asked_for[0].form.text)
    assert {word: own[word] for word in SCHEMA} == SCHEMA
    refused = ask("ab", "--regex", "a", "--unbounded")
    assert (refused.code, "--unbounded goes with --schema" in refused.err) == (3, True)


def test_a_schema_that_cannot_be_bounded_is_refused_with_a_way_out(ask, schema_file):
    both = {"type": "object", "properties": {"a": {"type": "null"}}, "allOf": [{"properties": {"b": {"type": "null"}}}]}
    said = ask("ab", "--schema", schema_file(both))
    assert (said.code, "write them in one place; or leave it open with --unbounded" in said.err) == (3, True)
    assert ask("ab", "--schema", schema_file(both), "--unbounded").code == 0
    wrong = ask("ab", "--schema", schema_file({"maxLenght": 3}))
    assert (wrong.code, "--unbounded" in wrong.err) == (3, False)


def test_many_places_of_one_bound_are_counted(ask, schema_file):
    many = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(9)}}
    told = " ".join(ask("ab", "--schema", schema_file(many)).err.split())
    assert "#/properties/p5 and 3 more;" in told


@pytest.mark.parametrize("drafts", [None, "text", "climb@1"])
def test_what_guesses_reaches_the_model(ask, model, drafts):
    assert ask("ab", *(["--drafts", drafts] if drafts else [])).out == "ba\n"
    assert model.how["drafts"] == drafts


def test_an_answer_that_failed_or_is_not_what_was_asked_for_fails_the_command(ask, prompts):
    said = ask("a?")
    assert (said.code, "it broke" in said.err) == (1, True)
    assert ask("a!").code == 0
    cut = ask("a!", "--regex", "[a-z]+")
    assert (cut.code, "cut off after 2 tokens; see --max-tokens" in cut.err) == (1, True)
    path = prompts({"prompt": "ab"}, {"prompt": "a?", "id": "bad"})
    mixed = ask("--prompts", path)
    assert (mixed.code, mixed.out, "bad: it broke" in mixed.err) == (1, "ba\n?a\n", True)
