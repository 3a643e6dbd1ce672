import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from whorl.core.artifact import Artifact, file_sha256
from whorl.core.errors import ConfigError, DataError
from whorl.core.pool import ProcessPool
from whorl.core.records import DOCUMENTS
from whorl.core.shards import iter_tables, shard_path, shard_paths, write_table
from whorl.core.stage import Stage
from whorl.corpus.ledger import peek, stats, why

TEXT = "x" * 100
PARTS = ("train", "held_out", "exam")


def corpus(workshop, name, rows, *, shard_rows=10):
    """A finished folder of documents: rows are (id, text, part) or (id, text, part, url)."""
    folder = workshop.root / "made" / name
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(rows), shard_rows)):
        columns = {field: [] for field in DOCUMENTS.names}
        for doc_id, text, part, *url in rows[start : start + shard_rows]:
            values = {"id": doc_id, "text": text, "part": part, "source": doc_id, "url": url[0] if url else None}
            for field in DOCUMENTS.names:
                columns[field].append(values.get(field))
        write_table(pa.table(columns, schema=DOCUMENTS), shard_path(folder, "documents", number))
    files = {path.name: {"sha256": file_sha256(path)} for path in sorted(folder.iterdir())}
    counts = {"bytes": sum(len(text) for _, text, *_ in rows)}
    workshop.made[name] = Artifact("documents", name, folder, {"files": files, "counts": counts})


def plain(workshop, name, *, train, watched=0, text=TEXT):
    rows = [(f"{name}/{i}", text, "train") for i in range(train)]
    corpus(workshop, name, [*rows, *((f"{name}/w{i}", text, PARTS[1 + i % 2]) for i in range(watched))])


def mix(workshop, name, *sources, **options):
    wanted = [source if isinstance(source, dict) else {"from": source} for source in sources]
    return workshop.run(name, use="corpus.mix", sources=wanted, **options)


def ids(workshop, name):
    return [i for table in iter_tables(workshop.folder(name)) for i in table["id"].to_pylist()]


def original(doc_id):
    return re.sub(r"@\d+$", "", doc_id)


def test_weights_are_shares_of_bytes_not_of_documents(workshop):
    plain(workshop, "long", train=40, text="x" * 1000)
    plain(workshop, "short", train=400, text="x" * 100)
    counts = mix(workshop, "mixed", {"from": "long", "weight": 3}, {"from": "short", "weight": 1})
    assert counts["sources.long.epochs"] == 1
    assert counts["sources.short.train_bytes"] == pytest.approx(40_000 / 3, abs=100)
    assert (counts["sources.long.wanted_share"], counts["sources.short.wanted_share"]) == (0.75, 0.25)
    assert counts["sources.long.share"] == pytest.approx(0.75, abs=0.002)
    assert counts["dropped.mix.not_drawn"] == 400 - 134


def test_without_weights_and_temperature_everything_is_taken_once(workshop):
    plain(workshop, "a", train=30, watched=4)
    plain(workshop, "b", train=10, watched=2)
    counts = mix(workshop, "mixed", "a", "b")
    assert (counts["documents"], counts["dropped"], counts["repeated.documents"]) == (46, 0, 0)
    assert counts["sources.a.wanted_share"] == 0.75


def test_temperature_brings_shares_together(workshop):
    plain(workshop, "big", train=160)
    plain(workshop, "small", train=10)
    counts = mix(workshop, "mixed", "big", "small", temperature=2)
    assert counts["sources.small.wanted_share"] == 0.2  # 4 : 1 are the square roots of 16 : 1
    assert counts["sources.big.train_bytes"] == 4_000
    assert mix(workshop, "even", "big", "small", temperature=1e9)["sources.small.wanted_share"] == 0.5


def test_a_small_source_is_repeated_up_to_its_cap(workshop):
    plain(workshop, "big", train=100, watched=4)
    plain(workshop, "small", train=10, watched=4)
    counts = mix(workshop, "mixed", {"from": "big", "weight": 1}, {"from": "small", "weight": 1, "max_epochs": 2.5})
    assert counts["sources.small.epochs"] == 2.5
    assert counts["sources.small.train_bytes"] == counts["sources.big.train_bytes"] == 2_500
    assert (counts["repeated.documents"], counts["repeated.bytes"]) == (15, 1_500)
    times = Counter(original(doc_id) for doc_id in ids(workshop, "mixed"))
    assert Counter(times[f"small/{i}"] for i in range(10)) == {2: 5, 3: 5}
    assert all(times[f"small/w{i}"] == 1 for i in range(4))
    assert {doc_id.partition("@")[2] for doc_id in ids(workshop, "mixed")} == {"", "2", "3"}
    assert counts["documents"] - counts["repeated.documents"] + counts["dropped"] == counts["documents_in"] == 118
    assert counts["train.bytes"] == 5_000


def test_copies_are_the_same_documents_under_other_names(workshop):
    plain(workshop, "a", train=5)
    mix(workshop, "mixed", {"from": "a", "max_epochs": 3})
    rows = {row["id"]: row for table in iter_tables(workshop.folder("mixed")) for row in table.to_pylist()}
    assert len(rows) == 15
    assert {**rows["a/3@3"], "id": "a/3"} == rows["a/3"]
    assert [path.name for path in shard_paths(workshop.folder("mixed"))] == [
        "documents-00000.parquet",
        "documents-00001.parquet",
    ]


def test_watched_parts_are_drawn_at_the_rate_of_training_text(workshop):
    plain(workshop, "a", train=600, watched=300)
    plain(workshop, "b", train=300, watched=10)
    counts = mix(workshop, "mixed", {"from": "a", "weight": 1}, {"from": "b", "weight": 1})
    kept = [doc_id for doc_id in ids(workshop, "mixed") if doc_id.startswith("a/w")]
    assert counts["sources.a.epochs"] == 0.5
    assert 110 < len(kept) < 190


def test_a_larger_total_holds_a_smaller_one(workshop):
    plain(workshop, "a", train=60, watched=10)
    plain(workshop, "b", train=20, watched=10)
    sources = ({"from": "a", "weight": 2, "max_epochs": 3}, {"from": "b", "weight": 1, "max_epochs": 3})
    smaller: set[str] = set()
    for total in (500, 3_000, 6_000, 15_000, 18_000):
        mix(workshop, f"of{total}", *sources, total=total)
        larger = set(ids(workshop, f"of{total}"))
        assert smaller < larger
        smaller = larger


def test_a_total_out_of_reach_is_an_error_that_says_whose_cap_it_is(workshop):
    plain(workshop, "a", train=60)
    plain(workshop, "b", train=10)
    with pytest.raises(ConfigError, match=r"total=9000 bytes is out of reach: 'b' has 1000 bytes and max_epochs=2, .* 4000"):
        mix(workshop, "m", {"from": "a", "weight": 1}, {"from": "b", "weight": 1, "max_epochs": 2}, total=9_000)


def test_a_group_takes_the_strictest_part_it_has_anywhere(workshop):
    corpus(workshop, "a", [("a/1", TEXT, "train", "http://x/p?q=1"), ("a/2", TEXT, "train", "http://x/q")])
    corpus(workshop, "b", [("b/1", TEXT, "exam", "https://x/p#top"), ("b/2", TEXT, "train", "http://x/r")])
    counts = mix(workshop, "mixed", "a", "b")
    parts = {row["id"]: row["part"] for t in iter_tables(workshop.folder("mixed")) for row in t.to_pylist()}
    assert parts == {"a/1": "exam", "a/2": "train", "b/1": "exam", "b/2": "train"}
    assert counts["moved_to_a_stricter_part"] == 1
    assert counts["sources.a.train_bytes_in"] == 100
    assert why(workshop.folder("mixed"), "a/1")[0]["part"] == "exam"


def test_the_seed_changes_what_is_drawn_and_nothing_else_does(workshop, workshop_at, tmp_path):
    plain(workshop, "a", train=100)
    mix(workshop, "one", "a", total=5_000)
    again = workshop_at(tmp_path / "again")
    corpus(again, "a", [(f"a/{i}", TEXT, "train") for i in reversed(range(100))], shard_rows=7)
    mix(again, "one", "a", total=5_000)
    assert set(ids(workshop, "one")) == set(ids(again, "one"))
    assert len(ids(workshop, "one")) == 50


def test_what_was_not_drawn_is_in_the_ledger_with_its_reason(workshop):
    plain(workshop, "a", train=40)
    plain(workshop, "b", train=10)
    mix(workshop, "mixed", {"from": "a", "weight": 1}, {"from": "b", "weight": 1, "max_epochs": 2})
    folder = workshop.folder("mixed")
    dropped = sorted({f"a/{i}" for i in range(40)} - set(ids(workshop, "mixed")))
    (row,) = why(folder, dropped[0])
    assert (row["kept"], row["step"], row["reason"], row["copies"]) == (False, "mix", "not_drawn", 0)
    assert row["detail"] == "a is read 0.5 times"
    assert why(folder, "b/1")[0]["copies"] == 2
    assert why(folder, "b/1@2")[0]["kept"] is True
    assert stats(folder)["dropped"] == {"mix.not_drawn": 20}
    assert len(peek(folder, dropped="not_drawn", n=3)) == 3


def test_four_workers_write_what_one_writes(workshop_at, tmp_path):
    found = []
    for name, pool in (("one", None), ("four", ProcessPool(4))):
        workshop = workshop_at(tmp_path / name, **({"pool": pool} if pool else {}))
        plain(workshop, "a", train=55, watched=9)
        plain(workshop, "b", train=23, watched=9)
        counts = mix(workshop, "mixed", {"from": "a", "weight": 1}, {"from": "b", "weight": 1, "max_epochs": 2})
        found.append((counts, workshop.files("mixed")))
    assert found[0] == found[1]
    assert len(found[0][1]) > 15


def test_ids_that_meet_are_an_error(workshop):
    corpus(workshop, "a", [("same", TEXT, "train"), ("a", TEXT, "train")])
    corpus(workshop, "b", [("same", TEXT, "train")])
    with pytest.raises(DataError, match="ids occur in more than one source: same; set name"):
        mix(workshop, "m", "a", "b")


def test_repeating_what_is_already_repeated_is_an_error(workshop):
    plain(workshop, "a", train=5)
    mix(workshop, "twice", {"from": "a", "max_epochs": 2})
    assert mix(workshop, "once", "twice")["documents"] == 10
    with pytest.raises(DataError, match="is named like a copy"):
        mix(workshop, "again", {"from": "twice", "max_epochs": 2})


def test_documents_without_parts_and_sources_without_training_text_are_errors(workshop):
    corpus(workshop, "raw", [("r/1", TEXT, None)])
    with pytest.raises(DataError, match=r"'r/1' has no part .*; mix what corpus\.refine made"):
        mix(workshop, "m", "raw")
    corpus(workshop, "watched", [("w/1", TEXT, "exam")])
    with pytest.raises(DataError, match="'watched' has no training text"):
        mix(workshop, "n", "watched")


@pytest.mark.parametrize(
    ("sources", "options", "fault"),
    [
        ([{"from": "a", "weight": 1}, {"from": "b"}], {}, "some have a weight and some have none"),
        ([{"from": "a", "weight": 1}, {"from": "b", "weight": 2}], {"temperature": 2}, "no effect on weights"),
        ([{"from": "a"}, {"from": "a"}], {}, "'a' is listed twice; raise its max_epochs"),
        ([{"from": "a", "weight": 0}], {}, "greater than 0"),
        ([], {}, "at least 1"),
    ],
)
def test_contradictions_are_refused(sources, options, fault):
    with pytest.raises(ValidationError, match=fault):
        Stage.model_validate({"use": "corpus.mix", "sources": sources, **options})


sizes = st.lists(st.integers(1, 400), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is a class
@given(
    texts=st.lists(sizes, min_size=1, max_size=3),
    weights=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    epochs=st.sampled_from([1, 1.5, 4]),
)
def test_shares_are_met_to_within_a_document_and_nothing_is_lost(texts, weights, epochs, workshop_at, tmp_path_factory):
    workshop = workshop_at(tmp_path_factory.mktemp("mix"))
    sources = []
    for number, own in enumerate(texts):
        corpus(workshop, f"s{number}", [(f"s{number}/{i}", "x" * size, "train") for i, size in enumerate(own)], shard_rows=3)
        sources.append({"from": f"s{number}", "weight": weights[number], "max_epochs": epochs})
    counts = mix(workshop, "mixed", *sources)
    total = min(sum(own) * epochs * sum(weights[: len(texts)]) / w for own, w in zip(texts, weights, strict=False))
    found = ids(workshop, "mixed")
    assert len(found) == len(set(found)) == counts["documents"]
    assert counts["documents"] - counts["repeated.documents"] + counts["dropped"] == sum(map(len, texts))
    for number, own in enumerate(texts):
        wanted = total * weights[number] / sum(weights[: len(texts)])
        drawn = counts[f"sources.s{number}.train_bytes"]
        assert wanted - 2 < drawn < wanted + max(own) + 1
        assert drawn <= sum(own) * epochs + max(own)
