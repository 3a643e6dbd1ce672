import pytest

from whorl.core.errors import DataError, UsageError
from whorl.corpus.ledger import peek, stats, why

SAME = "this sentence is written in two of the files of the corpus"


@pytest.fixture
def folder(workshop):
    workshop.write("notes/a.txt", SAME)
    workshop.write("notes/b.txt", SAME)
    workshop.write("notes/c.txt", "tiny")
    workshop.write("notes/d.txt", "another sentence that is quite different from those")
    workshop.run("pages", use="corpus.collect", sources=[{"use": "text", "path": "notes/*.txt"}])
    clean = {
        "use": "corpus.refine",
        "from": "pages",
        "filters": [{"use": "length", "min_chars": 10}],
        "dedup": [{"use": "exact"}],
    }
    workshop.run("clean", **clean)
    return workshop.folder("clean")


def test_why_of_a_dropped_document_says_step_reason_and_figure(folder):
    (row,) = why(folder, "c.txt")
    assert (row["kept"], row["step"], row["reason"], row["detail"]) == (False, "length", "too_short", "4, want at least 10")
    assert row["text_start"] == "tiny"
    assert row["num_words"] == 1


def test_why_of_a_kept_document_lists_the_copies_it_stands_for(folder):
    rows = why(folder, "a.txt") + why(folder, "b.txt")
    kept = next(row for row in rows if row["kept"])
    own, copy = why(folder, kept["id"])
    assert own["part"] == copy["part"]
    assert (copy["reason"], copy["detail"]) == ("duplicate", kept["id"])


def test_why_of_an_unknown_document_suggests_ids(folder):
    with pytest.raises(UsageError, match=r"no document 'd.t' came into .*ids that contain it: d.txt"):
        why(folder, "d.t")


def test_stats_add_up(folder):
    found = stats(folder)
    assert (found["documents_in"], found["documents"]) == (4, 2)
    assert found["dropped"] == {"exact.duplicate": 1, "length.too_short": 1}
    assert sum(part["documents"] for part in found["parts"].values()) == 2
    assert found["statistics"]["num_chars"]["p50"] in (51.0, 54.5, 58.0)


def test_peek_shows_kept_texts_and_the_beginnings_of_dropped_ones(folder):
    assert {row["text"] for row in peek(folder, n=9)} == {SAME, "another sentence that is quite different from those"}
    assert [row["text_start"] for row in peek(folder, dropped="too_short")] == ["tiny"]
    assert [row["reason"] for row in peek(folder, dropped="exact")] == ["duplicate"]
    assert len(peek(folder, dropped="any")) == 2
    assert len(peek(folder, n=1, seed=3)) == 1
    assert peek(folder, n=1, seed=3) == peek(folder, n=1, seed=3)


def test_peek_for_an_unknown_reason_lists_the_known_ones(folder):
    with pytest.raises(UsageError, match="reasons and steps: duplicate, exact, length, too_short"):
        peek(folder, dropped="too_shrt")


def test_a_folder_without_a_ledger_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no ledger"):
        stats(tmp_path)
