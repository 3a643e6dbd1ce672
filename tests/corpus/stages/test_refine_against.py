"""corpus.refine with policies for copies, and against finished corpora."""

import json
import random

import pyarrow as pa
import pytest

from whorl.core.errors import ConfigError
from whorl.core.pool import ProcessPool
from whorl.core.shards import iter_tables

EXACT_AND_NEAR = [{"use": "exact"}, {"use": "minhash"}]


def prose(seed, words=60):
    chooser = random.Random(seed)
    return " ".join(chooser.choice(["river", "lamp", "stone", "walk", "night", "the", "of"]) + str(seed) for _ in range(words))


def near(text):
    """The text with one more word."""
    return f"{text} moreover"


def collected(workshop, name, rows, shard_size=4000):
    """`rows` are (id, text, fields...); four files, several shards when there is enough text."""
    lines = [json.dumps({"i": row[0], "text": row[1], **(row[2] if len(row) > 2 else {})}) for row in rows]
    for share in range(4):
        workshop.write(f"{name}/{share}.jsonl", "\n".join(lines[share::4]) + "\n")
    source = {"use": "jsonl", "path": f"{name}/*.jsonl", "id_field": "i", "columns": {"date": "when"}, "on_error": "skip"}
    workshop.run(f"{name}_pages", use="corpus.collect", sources=[source], shard_size=shard_size)


def refined(workshop, pages, name="clean", **config):
    return workshop.run(
        name, use="corpus.refine", **{"from": f"{pages}_pages", "dedup": EXACT_AND_NEAR, "group_by": "id", **config}
    )


def rows(workshop, name, kind="documents"):
    return {row["id"]: row for table in iter_tables(workshop.folder(name), kind) for row in table.to_pylist()}


def test_the_newest_copy_stays(workshop):
    text = prose(1)
    collected(
        workshop,
        "in",
        [("old", near(text), {"when": "2019-05-01"}), ("new", text, {"when": "2024"}), ("odd", text, {"when": None})],
    )
    refined(workshop, "in", keep="newest")
    assert set(rows(workshop, "clean")) == {"new"}
    ledger = rows(workshop, "clean", "ledger")
    assert (ledger["old"]["detail"], ledger["odd"]["detail"]) == ("new", "new")


def test_the_best_copy_by_a_figure_stays(workshop):
    text = prose(2)
    collected(workshop, "in", [("plain", text), ("hashes", f"{text} # #")])
    refined(workshop, "in", "most", keep="best", best_by="num_hashes")
    refined(workshop, "in", "least", keep="best", best_by="-num_hashes")
    assert (set(rows(workshop, "most")), set(rows(workshop, "least"))) == ({"hashes"}, {"plain"})


def test_with_keep_none_all_copies_go_and_name_one_another(workshop):
    text = prose(3)
    collected(workshop, "in", [("a", text), ("b", near(text)), ("c", prose(4))])
    counts = refined(workshop, "in", keep="none")
    assert set(rows(workshop, "clean")) == {"c"}
    ledger = rows(workshop, "clean", "ledger")
    assert (ledger["a"]["detail"], ledger["b"]["detail"]) == ("b", "a")
    assert counts["dropped.minhash.duplicate"] == 2


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"keep": "best"}, "want both best and a figure"),
        ({"best_by": "num_words"}, "want both best and a figure"),
        ({"against": ["old"], "dedup": []}, "against needs dedup"),
    ],
)
def test_a_policy_that_cannot_mean_anything_is_refused(workshop, config, said):
    with pytest.raises(ValueError, match=said):
        refined(workshop, "in", **config)


def test_a_figure_that_nobody_measures_is_an_error(workshop):
    collected(workshop, "in", [("a", prose(1))])
    with pytest.raises(ConfigError, match="no figure 'beauty' was measured"):
        refined(workshop, "in", keep="best", best_by="beauty")


def test_counts_say_what_the_bands_promise(workshop):
    collected(workshop, "in", [("a", prose(1))])
    counts = refined(workshop, "in", dedup=[{"use": "minhash", "threshold": 0.0}])
    assert counts["minhash.recall_at_0.8"] == round(1 - (1 - 0.8**8) ** 14, 4)


def old_and_new(workshop):
    """A finished corpus of 20 documents, and one with 4 of them word for word, 4 nearly, and 12 new ones, 2 of those alike."""
    old = [(f"old{n}", prose(n)) for n in range(20)]
    new = [(f"same{n}", prose(n)) for n in range(4)] + [(f"near{n}", near(prose(n))) for n in range(4, 8)]
    new += [(f"new{n}", prose(100 + n)) for n in range(11)] + [("twin0", near(prose(100)))]
    collected(workshop, "old", old)
    collected(workshop, "new", new)
    return [i for i, _ in old], [i for i, _ in new]


def test_what_another_corpus_holds_is_dropped_and_its_document_is_named(workshop):
    old_and_new(workshop)
    refined(workshop, "old", "old")
    counts = refined(workshop, "new", against=["old"])
    called = counts["against.old.called"]
    ledger = rows(workshop, "clean", "ledger")
    assert [ledger[f"same{n}"]["detail"] for n in range(4)] == [f"{called}:old{n}" for n in range(4)]
    assert [ledger[f"near{n}"]["detail"] for n in range(4, 8)] == [f"{called}:old{n}" for n in range(4, 8)]
    assert {ledger[f"same{n}"]["reason"] for n in range(4)} == {"in_other_corpus"}
    assert ledger["new0"]["detail"] == "twin0"
    assert set(rows(workshop, "clean")) == {f"new{n}" for n in range(1, 11)} | {"twin0"}
    assert counts["dropped.exact.in_other_corpus"] == counts["dropped.minhash.in_other_corpus"] == 4
    assert (counts["against.old.documents"], counts["against.old.copies"]) == (20, 8)
    assert not any("are read and signed" in event.get("message", "") for event in workshop.events)


def test_two_steps_keep_what_one_step_keeps_of_every_group(workshop):
    old, new = old_and_new(workshop)
    refined(workshop, "old", "old")
    refined(workshop, "new", against=["old"])
    both = [(i, row["text"]) for name in ("old_pages", "new_pages") for i, row in rows(workshop, name).items()]
    collected(workshop, "both", both)
    refined(workshop, "both", "at_once")
    ledger = rows(workshop, "at_once", "ledger")
    stands_for = {i: i if row["kept"] else row["detail"] for i, row in ledger.items()}
    in_steps = set(rows(workshop, "old")) | set(rows(workshop, "clean"))
    assert {stands_for[i] for i in in_steps} == set(rows(workshop, "at_once"))
    assert len(in_steps) == len(rows(workshop, "at_once")) == 31
    assert set(rows(workshop, "clean")) <= set(rows(workshop, "at_once"))
    assert set(old) | set(new) == set(ledger)


def test_signatures_made_otherwise_are_made_again_from_the_texts_with_a_warning(workshop):
    old_and_new(workshop)
    refined(workshop, "old", "old", dedup=[{"use": "exact"}])
    counts = refined(workshop, "new", against=["old"])
    assert counts["against.old.copies"] == 8
    said = [event["message"] for event in workshop.events if "are read and signed" in event.get("message", "")]
    assert len(said) == 1
    assert "minhash" in said[0]


def test_other_bands_and_thresholds_need_no_new_signatures(workshop):
    old_and_new(workshop)
    refined(workshop, "old", "old")
    counts = refined(workshop, "new", against=["old"], dedup=[{"use": "minhash", "bands": 28, "threshold": 0.5}])
    assert counts["against.old.copies"] == 8
    assert not any("are read and signed" in event.get("message", "") for event in workshop.events)


def test_a_corpus_that_was_only_collected_can_be_compared_with(workshop):
    old_and_new(workshop)
    assert refined(workshop, "new", against=["old_pages"])["against.old_pages.copies"] == 8


def test_the_first_of_several_corpora_that_hold_a_document_is_named(workshop):
    old_and_new(workshop)
    collected(workshop, "third", [("t0", prose(0)), ("t1", prose(105))])
    refined(workshop, "old", "old")
    refined(workshop, "third", "third")
    counts = refined(workshop, "new", against=["old", "third"])
    ledger = rows(workshop, "clean", "ledger")
    assert ledger["same0"]["detail"] == f"{counts['against.old.called']}:old0"
    assert ledger["new5"]["detail"] == f"{counts['against.third.called']}:t1"
    assert (counts["against.old.copies"], counts["against.third.copies"]) == (8, 1)


def test_more_documents_sign_only_the_shard_they_are_in(workshop):
    old_and_new(workshop)
    config = {"against": ["old_pages"], "dedup": [{"use": "exact"}]}
    refined(workshop, "new", **config)
    before = workshop.cached_shards()
    line = (workshop.root / "old" / "0.jsonl").read_text()
    workshop.write("old/0.jsonl", line + json.dumps({"i": "old99", "text": prose(99)}) + "\n")
    source = {"use": "jsonl", "path": "old/*.jsonl", "id_field": "i", "columns": {"date": "when"}, "on_error": "skip"}
    workshop.run("more_pages", use="corpus.collect", sources=[source], shard_size=4000)
    refined(workshop, "new", "again", **{**config, "against": ["more_pages"]})
    assert len(list(workshop.folder("more_pages").glob("documents-*"))) > 2
    assert len(workshop.cached_shards() - before) == 3  # one shard collected, that shard signed, the index


def test_four_workers_and_one_write_the_same_bytes(workshop, workshop_at, tmp_path):
    other = workshop_at(tmp_path / "other", ProcessPool(4))
    for shop in (workshop, other):
        old_and_new(shop)
        refined(shop, "new", against=["old_pages"])
    assert other.files("clean") == workshop.files("clean")
    assert any(name.startswith("signatures-") for name in workshop.files("clean"))


def test_signatures_lie_beside_the_documents_row_by_row(workshop):
    old_and_new(workshop)
    refined(workshop, "new")
    for path in sorted(workshop.folder("clean").glob("documents-*")):
        signed = pa.parquet.read_table(path.with_name(path.name.replace("documents", "signatures")))
        assert len(signed) == len(pa.parquet.read_table(path))
        assert [signed.schema.field(name).type.byte_width for name in ("0", "1")] == [16, 448]
