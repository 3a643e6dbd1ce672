"""`data` over a real ledger."""

import pytest

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
