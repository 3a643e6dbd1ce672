"""`chat` with a model that says everything backwards."""

import io
import json
import os
import signal

import pytest
from toy_speaker import Parrot

from whorl.core.records import Message, read_dialogues
from whorl.flow.workspace import Workspace


@pytest.fixture
def parrot(done, monkeypatch):
    model, opened = Parrot(), []

    def load(checkpoint, project, **how):
        opened.append((checkpoint, how))
        return model

    monkeypatch.setattr("whorl.api.load", load)
    return done, model, opened


def said(parrot, monkeypatch, lines, *options):
    shell, _, _ = parrot
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    return shell("chat", "climb", "--max-tokens", "12", *options)


def test_once_answers_and_ends(parrot):
    shell, _, opened = parrot
    assert shell("chat", "climb", "--once", "abc").out == "cba\n"
    assert shell("chat", "climb", "--once", "abc", "--temperature", "0.5").out == "cba0.5#0\n"
    assert shell("chat", "climb", "--once", "abc", "--json").document == {
        "num_forgotten": 0,
        "text": "cba",
        "finish": "stop",
        "num_tokens": 3,
        "num_prompt": 3,
        "num_cached": 0,
        "num_drafted": 0,
        "num_accepted": 0,
    }
    assert [checkpoint for checkpoint, _ in opened] == ["climb"] * 3


@pytest.mark.parametrize(
    ("weights", "dtype", "packed"),
    [
        ("auto", "auto", "auto"),
        ("fp32", "fp32", "auto"),
        ("bf16", "bf16", "auto"),
        ("int8", "auto", "int8"),
        ("int4", "auto", "int4"),
    ],
)
def test_weights_are_held_as_asked_for(parrot, weights, dtype, packed):
    shell, _, opened = parrot
    shell("chat", "climb", "--once", "abc", "--weights", weights)
    assert opened == [("climb", {"dtype": dtype, "weights": packed, "drafts": None})]


@pytest.mark.parametrize("drafts", ["text", "climb@1"])
def test_what_guesses_reaches_the_model(parrot, drafts):
    shell, _, opened = parrot
    assert shell("chat", "climb", "--once", "abc", "--drafts", drafts).out == "cba\n"
    assert [how["drafts"] for _, how in opened] == [drafts]


def test_a_conversation_is_not_searched(parrot):
    shell, _, _ = parrot
    found = shell("chat", "climb", "--once", "abc", "--beams", "2")
    assert (found.code, "'whorl chat' has no option '--beams'" in found.err) == (3, True)


def test_a_schema_s_bounds_are_told_once(parrot, monkeypatch, tmp_path):
    (tmp_path / "schema.json").write_text('{"type": "string"}')
    found = said(parrot, monkeypatch, ["abc", "de"], "--schema", str(tmp_path / "schema.json"))
    assert " ".join(found.err.split()).count("maxLength: 256 at #") == 1


def test_without_a_name_the_checkpoint_made_last_talks(parrot):
    shell, _, opened = parrot
    shell("chat", "--once", "abc")
    assert opened[0][0] == str(Workspace(shell.root).find("climb").path)


def test_all_that_is_said_of_drawing_reaches_the_model(parrot):
    shell, model, _ = parrot
    options = "--top-k 3 --top-p 0.9 --min-p 0.1 --repetition-penalty 1.5 --presence-penalty 0.5 --frequency-penalty 0.25"
    rest = ["--stop", "a b", "--stop", "c", "--seed", "7", "--choice", "yes", "--choice", "no", "--max-tokens", "5"]
    shell("chat", "climb", "--once", "abc", "-t", "0.5", *options.split(), *rest)
    (asked,) = model.asked_for
    drawn = asked.sampling
    assert (drawn.max_tokens, drawn.temperature, drawn.top_k, drawn.top_p, drawn.min_p) == (5, 0.5, 3, 0.9, 0.1)
    assert (drawn.repetition_penalty, drawn.presence_penalty, drawn.frequency_penalty) == (1.5, 0.5, 0.25)
    assert (drawn.stop, drawn.seed) == (("a b", "c"), 7)
    assert (asked.form.kind, json.loads(asked.form.text)) == ("choice", ["yes", "no"])


def test_a_conversation_is_kept_and_says_what_it_forgets_and_what_it_cuts(parrot, monkeypatch):
    turns = ["twelve chars", "another line", "", "/what", "run on!", "/reset", "abc", "/quit", "never asked"]
    found = said(parrot, monkeypatch, turns)
    assert found.out.splitlines() == ["srahc evlewt", "enil rehtona", "!no nur", "cba"]
    assert "the model's context is full: the oldest 2 messages are forgotten, from 'twelve chars' on" in found.err
    assert "no command '/what'; /reset forgets the conversation" in found.err
    assert "cut off after 7 tokens; --max-tokens allows more" in found.err
    assert "forgotten\n" in found.err


def test_every_turn_has_draws_of_its_own_and_the_first_those_of_the_seed(parrot, monkeypatch):
    _, model, _ = parrot
    said(parrot, monkeypatch, ["a", "b", "c"], "-t", "1", "--seed", "5")
    seeds = [asked.sampling.seed for asked in model.asked_for]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3


def test_a_conversation_is_saved_as_training_reads_it(parrot, monkeypatch, tmp_path):
    path = tmp_path / "kept.jsonl"
    found = said(parrot, monkeypatch, ["/save " + str(path), "abc", f"/save {path}", "de", f"/save {path}"], "--system", "go")
    assert "nothing was said yet" in found.err
    assert "3 messages added" in found.err
    first, second = read_dialogues(path)
    assert first.messages == (Message("system", "go"), Message("user", "abc"), Message("assistant", "cba"))
    assert second.messages[:3] == first.messages
    assert first.id != second.id
    found = said(parrot, monkeypatch, ["abc", f"/save {tmp_path}/nowhere/kept.jsonl"])
    assert "No such file or directory; want a file that can be written" in " ".join(found.err.split())


def test_ctrl_c_ends_the_answer_and_not_the_conversation(parrot, monkeypatch):
    """The signal comes while the third letter of the first answer is said."""
    heard = Parrot.talk

    def talk(self, *, system=None):
        conversation = heard(self, system=system)
        pieces = conversation._pieces

        def interrupted(turn, kept, asked):
            for number, piece in enumerate(pieces(turn, kept, asked)):
                if number == 2 and asked.prompt == "abcdefgh":
                    os.kill(os.getpid(), signal.SIGINT)
                yield piece

        conversation._pieces = interrupted
        return conversation

    monkeypatch.setattr(Parrot, "talk", talk)
    before = signal.getsignal(signal.SIGINT)
    found = said(parrot, monkeypatch, ["abcdefgh", "xyz"])
    assert found.code == 0
    assert found.out.splitlines() == ["hgf", "zyx"]
    assert "stopped after 3 tokens" in found.err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_the_command(parrot, monkeypatch):
    def pieces(self, turn, kept, asked):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        yield from ()

    monkeypatch.setattr("toy_speaker.Talk._pieces", pieces)
    found = said(parrot, monkeypatch, ["abc"])
    assert (found.code, found.err.splitlines()[-1]) == (1, "error: interrupted")


def test_a_turn_that_is_too_long_is_an_error_in_a_script(parrot):
    shell, _, _ = parrot
    found = shell("chat", "climb", "--once", "x" * 80)
    assert (found.code, found.err) == (1, "error: too long; shorten it\n")


def test_a_turn_that_cannot_be_answered_does_not_end_a_conversation(parrot, monkeypatch):
    found = said(parrot, monkeypatch, ["x" * 80, "why?", "abc"], "--json")
    assert found.code == 0
    assert [line.get("error") for line in found.lines] == ["DataError", "it broke", None]
    assert "too long; shorten it" in found.err
    assert "it broke" in found.err
    assert found.lines[-1]["text"] == "cba"


def test_an_answer_that_fails_is_a_failure_of_a_script(parrot):
    shell, _, _ = parrot
    assert shell("chat", "climb", "--once", "why?").code == 1


def test_no_checkpoint_yet_is_said(shell):
    found = shell("chat", "--once", "hello")
    assert (found.code, "no checkpoint in" in found.err) == (1, True)
