import json
import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.core.pool import ProcessPool
from whorl.core.shards import iter_tables
from whorl.core.stage import Stopped
from whorl.corpus.ledger import LEDGER

PAGES = {"use": "corpus.collect", "sources": [{"use": "text", "path": "notes/*.txt", "split": "paragraph"}], "shard_size": 4000}
CLEAN = {
    "use": "corpus.refine",
    "from": "pages",
    "edits": [{"use": "unicode"}],
    "filters": [{"use": "length", "min_chars": 20}],
    "dedup": [{"use": "exact"}, {"use": "minhash"}],
    "parts": {"train": 0.6, "held_out": 0.2, "exam": 0.2},
}


def prose(seed, words=40):
    chooser = random.Random(seed)
    return " ".join(chooser.choice(["river", "lamp", "stone", "walk", "night", "the", "of"]) + str(seed) for _ in range(words))


def notes(workshop, count=40):
    """Each file: two paragraphs of its own, one too short, and a control character to edit away."""
    for i in range(count):
        workshop.write(f"notes/{i:03d}.txt", f"{prose(i)}\x07\n\n{prose(1000 + i)}\n\nshort {i}\n")


def rows(workshop, name, kind="documents"):
    return {row["id"]: row for row in pa.concat_tables(iter_tables(workshop.folder(name), kind)).to_pylist()}


def collected(workshop, count=40):
    notes(workshop, count)
    workshop.run("pages", **PAGES)


def test_what_came_in_is_what_went_out_plus_drops_by_reason(workshop):
    collected(workshop)
    workshop.write("notes/copy.txt", prose(3) + "\n\n" + prose(4) + " river\n")
    workshop.run("more", **PAGES)
    counts = workshop.run("clean", **{**CLEAN, "from": "more"})
    assert counts["documents_in"] == 122
    assert counts["dropped.length.too_short"] == 40
    assert counts["dropped.exact.duplicate"] == 1
    assert counts["dropped.minhash.duplicate"] == 1
    assert counts["dropped"] == 42
    assert counts["documents"] == 80 == len(rows(workshop, "clean"))
    assert sum(counts[f"{part}.documents"] for part in ("train", "held_out", "exam")) == 80
    assert sum(counts[f"{part}.bytes"] for part in ("train", "held_out", "exam")) == counts["bytes"]


def test_ledger_has_one_row_for_every_document_that_came_in(workshop):
    collected(workshop)
    workshop.run("clean", **CLEAN)
    ledger, before = rows(workshop, "clean", "ledger"), rows(workshop, "pages")
    assert pa.concat_tables(iter_tables(workshop.folder("clean"), "ledger")).schema.names[: len(LEDGER)] == LEDGER.names
    assert ledger.keys() == before.keys()
    kept = {doc for doc, row in ledger.items() if row["kept"]}
    assert kept == rows(workshop, "clean").keys()
    for doc, row in ledger.items():
        assert (row["step"] is None) == (row["reason"] is None) == (row["text_start"] is None) == (doc in kept)
    short = ledger["000.txt#3"]
    assert (short["reason"], short["detail"], short["text_start"]) == ("too_short", "7, want at least 20", "short 0")
    assert ledger["000.txt#1"]["edit_spans"] == 1
    assert ledger["000.txt#1"]["num_words"] == 40


def test_edited_text_is_what_is_kept(workshop):
    collected(workshop, count=2)
    workshop.run("clean", **CLEAN)
    assert rows(workshop, "clean")["000.txt#1"]["text"] == prose(0)


def test_documents_of_one_source_share_a_part_and_so_do_their_copies(workshop):
    notes(workshop)
    for i in range(12):
        workshop.write(
            f"notes/{i:03d}.txt", f"{prose(i)}\n\n{prose(i + 100)}\n\n{prose(i + 1)}\n"
        )  # a chain of shared paragraphs
    workshop.run("pages", **PAGES)
    workshop.run("clean", **CLEAN)
    ledger = rows(workshop, "clean", "ledger")
    by_source = {}
    for row in ledger.values():
        if row["part"]:
            by_source.setdefault(row["source"], set()).add(row["part"])
    assert all(len(parts) == 1 for parts in by_source.values())
    assert len(set().union(*(by_source[f"{i:03d}.txt"] for i in range(12)))) == 1
    assert set().union(*by_source.values()) == {"train", "held_out", "exam"}
    for row in ledger.values():
        if row["reason"] == "duplicate":
            assert ledger[row["detail"]]["kept"]
            assert ledger[row["detail"]]["part"] == row["part"]


def test_two_workers_write_what_one_writes(workshop_at, tmp_path):
    made = {}
    for name, pool in (("one", None), ("two", ProcessPool(2))):
        workshop = workshop_at(tmp_path / name)
        collected(workshop)
        workshop.pool = pool or workshop.pool
        counts = workshop.run("clean", **CLEAN)
        made[name] = (workshop.files("clean"), counts)
    assert len(made["one"][0]) >= 6
    assert made["one"] == made["two"]


def test_fates_do_not_depend_on_how_documents_are_dealt_to_shards(workshop):
    collected(workshop)
    workshop.run("whole", **{**PAGES, "shard_size": "32MB"})
    workshop.run("clean", **CLEAN)
    workshop.run("clean_whole", **{**CLEAN, "from": "whole"})
    assert rows(workshop, "clean") == rows(workshop, "clean_whole")
    assert rows(workshop, "clean", "ledger") == rows(workshop, "clean_whole", "ledger")


def test_one_changed_file_cleans_one_shard_again(workshop):
    collected(workshop)
    workshop.run("clean", **CLEAN)
    workshop.write("notes/007.txt", prose(5000))
    workshop.run("changed", **PAGES)
    before = workshop.cached_shards()
    workshop.run("clean_again", **{**CLEAN, "from": "changed"})
    assert len(workshop.cached_shards() - before) == 1


def test_an_interrupted_run_goes_on_to_the_same_bytes(workshop_at, tmp_path):
    whole, broken = workshop_at(tmp_path / "whole"), workshop_at(tmp_path / "broken")
    for workshop in (whole, broken):
        collected(workshop)
    whole.run("clean", **CLEAN)
    broken.pool = _StopsAfter(1)
    with pytest.raises(_PowerCut):
        broken.run("cut", **CLEAN)
    broken.pool = whole.pool
    broken.run("clean", **CLEAN)
    assert broken.files("clean") == whole.files("clean")


class _PowerCut(BaseException):
    pass


class _StopsAfter:
    workers = 1

    def __init__(self, tasks):
        self.left = tasks

    def map(self, function, tasks):
        for task in tasks:
            if self.left == 0:
                raise _PowerCut
            self.left -= 1
            yield function(task)


def test_a_group_keeps_its_part_when_documents_are_added(workshop):
    collected(workshop)
    workshop.run("clean", **CLEAN)
    notes(workshop, count=60)
    workshop.run("more", **PAGES)
    workshop.run("clean_more", **{**CLEAN, "from": "more"})
    before, after = rows(workshop, "clean"), rows(workshop, "clean_more")
    assert all(after[doc]["part"] == row["part"] for doc, row in before.items())


def test_keep_parts_pins_known_groups_and_the_strictest_wins(workshop):
    collected(workshop)
    workshop.run("clean", **CLEAN)
    before = {row["source"]: row["part"] for row in rows(workshop, "clean").values()}
    trained = next(source for source, part in sorted(before.items()) if part == "train")
    examined = next(source for source, part in sorted(before.items()) if part == "exam")
    shared = prose(9999)
    for source in (trained, examined):  # from now on these two files are linked
        path = workshop.root / "notes" / source
        path.write_text(path.read_text() + f"\n\n{shared}\n")
    workshop.run("linked", **PAGES)
    moved = {"train": 0.2, "held_out": 0.8, "exam": 0.0}
    workshop.run("again", **{**CLEAN, "from": "linked", "keep_parts": "clean", "parts": moved})
    after = {row["source"]: row["part"] for row in rows(workshop, "again").values()}
    assert after == {**before, trained: "exam"}


def test_keep_parts_of_an_unrefined_or_differently_grouped_corpus_is_refused(workshop):
    collected(workshop, count=3)
    workshop.run("by_id", **{**CLEAN, "group_by": "id"})
    with pytest.raises(ConfigError, match="grouped by 'id'"):
        workshop.run("a", **{**CLEAN, "keep_parts": "by_id"})
    with pytest.raises(DataError, match="without parts"):
        workshop.run("b", **{**CLEAN, "keep_parts": "pages"})


def test_grouping_by_url_falls_back_to_the_id(workshop):
    lines = [json.dumps({"text": prose(i), "u": f"http://{i // 2}" if i < 20 else None}) for i in range(40)]
    workshop.write("a.jsonl", "\n".join(lines))
    source = {"use": "jsonl", "path": "a.jsonl", "columns": {"url": "u"}}
    workshop.run("pages", use="corpus.collect", sources=[source])
    counts = workshop.run("clean", **{**CLEAN, "group_by": "url"})
    ledger = rows(workshop, "clean", "ledger")
    assert counts["groups"] == 30
    assert ledger["a.jsonl:1"]["group_key"] == ledger["a.jsonl:2"]["group_key"] == "http://0"
    assert ledger["a.jsonl:40"]["group_key"] == "a.jsonl:40"


def test_overlap_of_parts_is_measured(workshop):
    copied = " ".join(f"w{i}" for i in range(30))
    for i in range(30):
        workshop.write(f"notes/{i}.txt", f"{prose(i, 200)} {copied} {prose(i + 50, 200)}")
    workshop.run("pages", **PAGES)
    counts = workshop.run("clean", **CLEAN)
    documents = pa.concat_tables(iter_tables(workshop.folder("clean")))
    held_out = documents.filter(pc.equal(documents["part"], "held_out"))
    assert counts["held_out.longest_ngram_in_train"] == 30
    # Each document of 430 words has 418 13-grams; the 18 inside the copied passage are the same in all.
    assert counts["held_out.share_of_13grams_in_train"] == round(18 / (400 * len(held_out) + 18), 6)


def test_everything_dropped_is_an_error_that_says_so(workshop):
    collected(workshop, count=2)
    with pytest.raises(DataError, match="all 6 documents were dropped"):
        workshop.run("clean", **{**CLEAN, "filters": [{"use": "length", "min_chars": 10_000}]})


def test_a_document_that_edits_empty_is_dropped_with_that_reason(workshop):
    workshop.write("a.jsonl", '{"text": "\\u0000\\u0007"}\n{"text": "this text is long enough to stay"}\n')
    workshop.run("pages", use="corpus.collect", sources=[{"use": "jsonl", "path": "a.jsonl"}])
    counts = workshop.run("clean", **{**CLEAN, "filters": []})
    assert counts["dropped.edits.empty"] == 1


def test_a_very_large_group_is_warned_of(workshop):
    workshop.write("notes/big.txt", "\n\n".join(prose(i) for i in range(50)))
    workshop.write("notes/small.txt", prose(500))
    workshop.run("pages", **PAGES)
    counts = workshop.run("clean", **CLEAN)
    assert counts["largest_group_share"] > 0.9
    assert any("largest group" in event.get("message", "") for event in workshop.events)


def test_plain_refining_without_any_member_keeps_everything(workshop):
    collected(workshop, count=3)
    counts = workshop.run("clean", use="corpus.refine", **{"from": "pages"})
    assert counts["documents"] == counts["documents_in"] == 9


def test_shares_that_do_not_sum_to_one_are_refused(workshop):
    with pytest.raises(ValueError, match="want 1"):
        workshop.run("clean", **{**CLEAN, "parts": {"train": 0.5}})


def test_stopping_between_shards_raises_stopped(workshop, monkeypatch):
    collected(workshop)
    monkeypatch.setattr("whorl.core.stage.StopSignal.is_set", lambda self: True)
    with pytest.raises(Stopped):
        workshop.run("clean", **CLEAN)
