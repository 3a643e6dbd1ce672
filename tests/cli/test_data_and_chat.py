"""`data` over a real ledger, and `chat` with a model that repeats what it is told."""

import io

import pytest

from whorl.cli.verbs import chat
from whorl.core.errors import DataError
from whorl.core.records import Completion, Message
from whorl.flow.workspace import Workspace

DOCS = """\
name: docs
stages:
  pages: {use: corpus.collect, sources: [{use: text, path: docs/*.txt}]}
  clean:
    use: corpus.refine
    from: pages
    filters: [{use: length, min_chars: 20}]
    parts: {train: 1.0, held_out: 0.0, exam: 0.0}
"""


@pytest.fixture
def corpus(shell):
    (shell.root / "recipe.yaml").write_text(DOCS)
    (shell.root / "docs").mkdir()
    (shell.root / "docs" / "long.txt").write_text("A text of more than twenty characters.\n")
    (shell.root / "docs" / "short.txt").write_text("Too short.\n")
    said = shell("run")
    assert said.code == 0, said.err
    return shell


def test_data_says_what_was_kept_what_was_dropped_and_why(corpus):
    stats = corpus("data", "stats")
    assert "2 in = 1 kept + 1 dropped" in stats.out
    assert "length.too_short" in stats.out
    assert corpus("data", "stats", "--json").document["dropped"] == {"length.too_short": 1}
    peek = corpus("data", "peek")
    assert "A text of more than twenty characters." in peek.out
    assert "Too short." not in peek.out
    dropped = corpus("data", "peek", "clean", "--dropped", "any", "--json").document["documents"]
    assert [row["reason"] for row in dropped] == ["too_short"]
    why = corpus("data", "why", dropped[0]["id"])
    assert "dropped by length: too_short" in why.out
    kept = peek.out.split()[0]
    assert f"{kept}  kept" in corpus("data", "why", kept).out
    missing = corpus("data", "why", "nobody")
    assert (missing.code, "no document 'nobody'" in missing.err) == (3, True)


def test_why_tells_the_story_from_the_first_corpus_to_the_last(corpus):
    rows = corpus("data", "why", "long.txt", "--json").document["rows"]
    assert [(row["corpus"], row["kept"]) for row in rows] == [("pages@1", True), ("clean@1", True)]
    rows = corpus("data", "why", "short.txt", "--json").document["rows"]
    assert [(row["corpus"], row["kept"]) for row in rows] == [("pages@1", True), ("clean@1", False)]
    assert rows[1]["broken"] == ["length.too_short"]


def test_whatif_applies_other_thresholds_to_the_ledger_alone(corpus):
    for text in (corpus.root / "docs").iterdir():
        text.unlink()
    found = corpus("data", "whatif", "clean", "length.min_chars=5", "--json").document
    assert found["passed_filters"] == {"before": 1, "after": 2}
    assert found["examples"] == {"newly_kept": ["short.txt"], "newly_dropped": []}
    drawn = corpus("data", "whatif", "clean", "length.min_chars=100").out
    assert "1 documents passed the filters; 0 would" in drawn
    assert "newly dropped: 1, e.g. long.txt" in drawn
    for change, fault in {
        "gopher.x=1": "no filter 'gopher' made this corpus",
        "length.min_char=1": "min_char",
        "length.min_chars=-1": "min_chars",
        "length": "want FILTER.THRESHOLD=VALUE",
    }.items():
        said = corpus("data", "whatif", "clean", change)
        assert (said.code, fault in said.err) == (3, True), said.err


def test_diff_names_what_changed_between_two_corpora(corpus):
    (corpus.root / "docs" / "new.txt").write_text("Yet another text of more than twenty characters.\n")
    (corpus.root / "docs" / "long.txt").write_text("The text is now another one, still long enough.\n")
    assert corpus("run", "stages.clean.filters=[{use: length, min_chars: 2}]").code == 0
    found = corpus("data", "diff", "clean@1", "clean", "--json").document
    assert found["documents"] == {"before": 1, "after": 3}
    assert found["changes"] == {
        "came": 1,
        "gone": 0,
        "newly_kept": 1,
        "newly_dropped": 0,
        "text_changed": 1,
        "part_changed": 0,
    }
    assert found["newly_kept_despite"] == {"length.too_short": 1}
    back = corpus("data", "diff", "clean", "clean@1")
    assert "3 documents before, 1 after; 0 are the same in both" in back.out
    assert "newly dropped" in back.out


def test_data_wants_documents(done):
    said = done("data", "stats", "climb")
    assert (said.code, "'climb' is checkpoint, wanted documents" in said.err) == (3, True)


def test_data_without_documents_says_how_to_get_some(shell):
    said = shell("data", "peek")
    assert said.code == 1
    assert said.err == f"error: no documents in {shell.root} yet; make one with 'whorl run' (or name another --project)\n"


class Parrot:
    """A model with sixty characters of context that answers with what was said last; a '!' makes it run on."""

    max_positions = 60

    def fitting(self, messages, *, max_tokens):
        kept = list(messages)
        while sum(len(message.content) for message in kept) + max_tokens > self.max_positions:
            if len(kept) < 3:
                raise DataError("too long; shorten it")
            kept = kept[2:]
        return kept

    def complete(self, prompt, *, max_tokens=None, temperature=0.0, seed=0):
        text = prompt[-1].content[::-1][: max_tokens or 99]
        return Completion(f"{text}{temperature or ''}", tuple(range(len(text))), (), "length" if "!" in text else "stop")


@pytest.fixture
def parrot(done, monkeypatch):
    asked = []

    def load(checkpoint, project):
        asked.append(checkpoint)
        return Parrot()

    monkeypatch.setattr("whorl.api.load", load)
    done_with = done
    return done_with, asked


def test_chat_once_answers_and_ends(parrot):
    shell, asked = parrot
    assert shell("chat", "climb", "--once", "abc").out == "cba\n"
    assert shell("chat", "climb", "--once", "abc", "--temperature", "0.5").out == "cba0.5\n"
    assert shell("chat", "climb", "--once", "abc", "--json").document == {
        "text": "cba",
        "finish": "stop",
        "num_tokens": 3,
        "num_forgotten": 0,
    }
    assert asked == ["climb"] * 3


def test_chat_without_a_name_takes_the_checkpoint_made_last(parrot):
    shell, asked = parrot
    shell("chat", "--once", "abc")
    assert asked == [str(Workspace(shell.root).find("climb").path)]


def test_chat_keeps_the_conversation_says_what_it_forgets_and_what_it_cuts(parrot, monkeypatch):
    shell, _ = parrot
    turns = ["twelve chars", "another line", "", "/what", "run on!", "/reset", "abc", "/quit", "never asked"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(turns)))
    said = shell("chat", "climb", "--max-tokens", "12")
    assert said.out.splitlines() == ["srahc evlewt", "enil rehtona", "!no nur", "cba"]
    assert "the model's context is full: the oldest 2 messages are forgotten" in said.err
    assert "no command '/what'; /reset forgets the conversation" in said.err
    assert "cut off after 7 tokens; --max-tokens allows more" in said.err
    assert "forgotten\n" in said.err


def test_a_turn_that_is_too_long_is_an_error_in_a_script(parrot):
    shell, _ = parrot
    said = shell("chat", "climb", "--once", "x" * 80)
    assert (said.code, said.err) == (1, "error: too long; shorten it\n")


def test_a_turn_that_is_too_long_does_not_end_a_conversation(parrot, monkeypatch):
    shell, _ = parrot
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{'x' * 80}\nabc\n"))
    said = shell("chat", "climb")
    assert (said.code, said.out) == (0, "cba\n")
    assert "too long; shorten it" in said.err


def test_a_conversation_remembers_only_what_was_answered():
    talk = chat.Conversation(Parrot(), 0.0, 12)
    with pytest.raises(DataError):
        talk.ask("x" * 80, lambda count: None)
    assert talk.history == []
    talk.ask("abc", lambda count: None)
    assert talk.history == [Message("user", "abc"), Message("assistant", "cba")]


def test_no_checkpoint_yet_is_said(shell):
    said = shell("chat", "--once", "hello")
    assert (said.code, "no checkpoint in" in said.err) == (1, True)
