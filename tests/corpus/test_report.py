import json

import pytest

from whorl.corpus.filters import Filter
from whorl.corpus.report import corpus_report
from whorl.corpus.report_page import page

SAME = "this sentence is written in two of the files of the corpus"
FILTERS = [{"use": "length", "min_chars": 10, "max_chars": 70}]


@pytest.fixture
def folder(workshop):
    workshop.write("notes/a.txt", SAME)
    workshop.write("notes/b.txt", SAME)
    workshop.write("notes/c.txt", "tiny")
    workshop.write("notes/d.txt", "another sentence that is <b>quite</b> different\x07 from those")
    workshop.write("notes/e.txt", "long " * 40)
    workshop.run("pages", use="corpus.collect", sources=[{"use": "text", "path": "notes/*.txt"}])
    clean = {"use": "corpus.refine", "from": "pages", "edits": [{"use": "unicode"}], "filters": FILTERS}
    workshop.run("clean", **clean, dedup=[{"use": "exact"}])
    return workshop.folder("clean")


def test_flow_goes_from_what_came_in_to_what_is_kept(folder):
    flow = json.loads((folder / "report.json").read_text())["flow"]
    assert [(step["step"], step["documents"], step["dropped"]) for step in flow] == [
        ("came in", 5, 0),
        ("edits", 5, 0),
        ("length", 3, 2),
        ("exact", 2, 1),
    ]
    assert flow[0]["bytes"] - flow[1]["bytes"] == 2  # the control character, and the blank at an end
    assert flow[-1]["bytes"] == len(SAME) + len("another sentence that is <b>quite</b> different from those")


def test_every_rule_is_counted_as_first_as_broken_and_as_broken_alone(folder):
    reasons = {row["rule"]: row for row in json.loads((folder / "report.json").read_text())["reasons"]}
    assert reasons.keys() == {"length.too_short", "length.too_long", "exact.duplicate"}
    assert all((row["documents"], row["broken_by"], row["broken_alone"]) == (1, 1, 1) for row in reasons.values())


def test_distributions_count_every_document_once_and_know_their_bounds(folder):
    short, long = json.loads((folder / "report.json").read_text())["distributions"]
    assert (short["rule"], short["at_least"], "at_most" in short) == ("length.too_short", 10, False)
    assert (long["rule"], long["at_most"]) == ("length.too_long", 70)
    assert (sum(short["kept"]), sum(short["dropped"])) == (2, 3)
    assert short["edges"][0] <= 10


def test_report_does_not_depend_on_how_documents_are_dealt_to_shards(folder, workshop):
    for i in range(40):
        workshop.write(f"more/{i}.txt", f"number {i} " * (2 + i % 12))
    sources = [{"use": "text", "path": "more/*.txt"}]
    reports = []
    for size in (200, 32_000_000):
        workshop.run(f"pages{size}", use="corpus.collect", sources=sources, shard_size=size)
        workshop.run(f"clean{size}", **{"use": "corpus.refine", "from": f"pages{size}"}, filters=FILTERS)
        made = workshop.folder(f"clean{size}")
        reports.append(corpus_report(made, [Filter.model_validate(config) for config in FILTERS], []))
        if size == 200:
            assert len(list(made.glob("ledger-*.parquet"))) > 1
    assert reports[0] == reports[1]


def test_samples_are_texts_to_read_and_the_page_shows_them_as_text(folder):
    report = json.loads((folder / "report.json").read_text())
    assert {row["text_start"] for row in report["samples"]["kept"]} >= {SAME}
    dropped = {sample["rule"]: sample["documents"] for sample in report["samples"]["dropped"]}
    assert dropped["length.too_short"][0]["text_start"] == "tiny"
    drawn = page(report)
    assert drawn == (folder / "report.html").read_text()
    assert "&lt;b&gt;quite&lt;/b&gt;" in drawn
    assert "<b>quite" not in drawn
    assert "<script" not in drawn
