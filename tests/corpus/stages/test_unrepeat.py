import json

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.core.pool import ProcessPool
from whorl.core.shards import iter_tables
from whorl.corpus import repeats
from whorl.text.columns import text_keys

NOTICE = "This notice is printed below every page of the site, for ever and ever."
MENU = "Home, About us, Contact, Imprint and a few other places to go"


def collected(workshop, texts, **source):
    """One document per text, ids d0, d1, ... ; several shards when there is enough text."""
    lines = [json.dumps({"text": text, "i": f"d{number}"}) for number, text in enumerate(texts)]
    for share in range(4):
        workshop.write(f"in/{share}.jsonl", "\n".join(lines[share::4]) + "\n")
    workshop.run(
        "pages",
        use="corpus.collect",
        sources=[{"use": "jsonl", "path": "in/*.jsonl", "id_field": "i"}],
        shard_size=400,
        **source,
    )


def unrepeated(workshop, name="clean", **config):
    return workshop.run(name, use="corpus.unrepeat", **{"from": "pages", "max_removed_share": 1.0, **config})


def rows(workshop, name="clean", kind="documents"):
    return [row for table in iter_tables(workshop.folder(name), kind) for row in table.to_pylist()]


def texts_of(workshop, name="clean"):
    return {row["id"]: row["text"] for row in rows(workshop, name)}


def own(number):
    return f"Document number {number} says something of its own that nobody else has ever said before {number}."


def first_of(*ids):
    return min(ids, key=lambda i: int(text_keys(pa.array([i]))[0]))


def test_a_repeated_paragraph_stays_in_one_document_and_goes_from_the_others(workshop):
    collected(workshop, [f"{own(n)}\n\n{NOTICE}" for n in range(12)])
    counts = unrepeated(workshop)
    texts = texts_of(workshop)
    holder = first_of(*texts)
    assert texts == {i: f"{own(i[1:])}\n\n{NOTICE}" if i == holder else own(i[1:]) for i in texts}
    assert counts["segments_repeated"] == 1
    assert counts["segments_removed"] == 11
    assert counts["segments"] == 24
    assert counts["documents"] == counts["documents_in"] == 12
    assert counts["bytes_in"] - counts["bytes"] == 11 * len(f"\n\n{NOTICE}")


def test_with_keep_none_it_goes_from_all(workshop):
    collected(workshop, [f"{NOTICE}\n\n{own(n)}" for n in range(6)])
    unrepeated(workshop, keep="none")
    assert texts_of(workshop) == {f"d{n}": own(n) for n in range(6)}
    assert {row["kept_in"] for row in rows(workshop, kind="spans")} == {None}


def test_every_removed_span_is_written_down_with_the_document_that_keeps_it(workshop):
    before = [f"\u00e9t\u00e9 {own(n)}\n\n{NOTICE}\n\n\u4e16\u754c {own(n + 100)}" for n in range(5)]
    collected(workshop, before)
    unrepeated(workshop)
    spans = {row["id"]: row for row in rows(workshop, kind="spans")}
    holder = first_of(*(f"d{n}" for n in range(5)))
    assert set(spans) == {f"d{n}" for n in range(5)} - {holder}
    for doc, row in spans.items():
        text = before[int(doc[1:])]
        assert text[row["start"] : row["end"]] == f"{NOTICE}\n\n"
        assert texts_of(workshop)[doc] == text[: row["start"]] + text[row["end"] :]
        assert (row["kept_in"], row["documents"], row["times"]) == (holder, 5, 5)


def test_case_and_spacing_do_not_make_a_segment_new_but_punctuation_does(workshop):
    collected(workshop, [f"{own(1)}\n\n{NOTICE}", f"{own(2)}\n\n{NOTICE.upper().replace(' ', '  ')}", f"{own(3)}\n\n{NOTICE}!"])
    assert unrepeated(workshop)["segments_removed"] == 1


def test_a_segment_must_be_in_more_documents_than_asked(workshop):
    collected(workshop, [f"{own(n)}\n\n{NOTICE}" for n in range(3)] + [f"{own(9)}\n\n{MENU}", f"{own(10)}\n\n{MENU}"])
    assert unrepeated(workshop, more_than=2)["segments_removed"] == 2  # the notice is in three documents, the menu in two
    assert unrepeated(workshop, "strict", more_than=1)["segments_removed"] == 3


def test_occurrences_within_one_document_count_only_when_asked(workshop):
    collected(workshop, [f"{NOTICE}\n\n{own(0)}\n\n{NOTICE}"])
    assert unrepeated(workshop)["segments_removed"] == 0
    assert unrepeated(workshop, "all", count="occurrences")["segments_removed"] == 1
    assert texts_of(workshop, "all") == {"d0": f"{NOTICE}\n\n{own(0)}"}


def test_lines_are_taken_out_whole_and_their_neighbours_keep_their_indentation(workshop):
    texts = [f"def f{n}():\n    # {NOTICE}\n        return {n}\n\nend of {n}" for n in range(3)]
    collected(workshop, texts)
    unrepeated(workshop, unit="line", keep="none")
    assert texts_of(workshop) == {f"d{n}": f"def f{n}():\n        return {n}\n\nend of {n}" for n in range(3)}


def test_short_segments_may_repeat(workshop):
    collected(workshop, [f"{own(n)}\n\nYes." for n in range(4)])
    assert unrepeated(workshop)["segments_removed"] == 0
    assert unrepeated(workshop, "all", min_chars=4)["segments_removed"] == 3


def test_a_document_that_loses_too_much_or_everything_is_dropped_with_the_reason(workshop):
    collected(workshop, [NOTICE, f"{NOTICE}\n\nrest", NOTICE, f"{own(1)}\n\n{NOTICE}", own(2)])
    counts = unrepeated(workshop, keep="none", max_removed_share=0.6)
    ledger = {row["id"]: row for row in rows(workshop, kind="ledger")}
    assert counts["dropped.unrepeat.empty"] == 2
    assert counts["dropped.unrepeat.mostly_repeated"] == 1
    assert (counts["documents_in"], counts["documents"], counts["dropped"]) == (5, 2, 3)
    assert ledger["d1"]["reason"] == "mostly_repeated"
    assert ledger["d1"]["detail"] == "0.9481 of its bytes, want at most 0.6"  # 73 of 77 bytes
    assert ledger["d1"]["broken"] == ["unrepeat.mostly_repeated"]
    assert (ledger["d3"]["kept"], ledger["d3"]["edit_spans"], ledger["d3"]["removed_bytes"]) == (True, 1, len(NOTICE))


def test_a_first_occurrence_that_is_lost_with_its_document_is_counted_and_warned_of(workshop):
    names = sorted((f"d{n}" for n in range(4)), key=lambda i: int(text_keys(pa.array([i]))[0]))
    texts = {name: f"{own(name)}\n\n{NOTICE}" for name in names}
    texts |= {
        names[0]: f"{own(0)}\n\n{MENU}",
        names[1]: f"{MENU}\n\n{NOTICE}",
    }  # the second holds the notice, the first the menu
    collected(workshop, [texts[f"d{n}"] for n in range(4)])
    counts = unrepeated(workshop, max_removed_share=0.46)
    assert counts["dropped.unrepeat.mostly_repeated"] == counts["segments_lost"] == 1
    assert not any(NOTICE in text for text in texts_of(workshop).values())
    assert any("gone altogether" in event.get("message", "") for event in workshop.events)


def test_everything_dropped_is_an_error_that_says_so(workshop):
    collected(workshop, [NOTICE, NOTICE])
    with pytest.raises(DataError, match="all 2 documents were dropped"):
        unrepeated(workshop, keep="none")


def test_four_workers_and_one_write_the_same_bytes(workshop, workshop_at, tmp_path):
    texts = [f"{own(n)}\n\n{NOTICE}\n\n{MENU} {n % 3}" for n in range(24)]
    collected(workshop, texts)
    unrepeated(workshop)
    other = workshop_at(tmp_path / "other", ProcessPool(4))
    collected(other, texts)
    unrepeated(other)
    assert len(workshop.files("pages")) > 4
    assert other.files("clean") == workshop.files("clean")


def test_ranges_of_hashes_do_not_change_the_outcome(workshop, monkeypatch):
    collected(workshop, [f"{own(n)}\n\n{NOTICE}\n\n{MENU} {n % 3}" for n in range(24)])
    unrepeated(workshop)
    monkeypatch.setattr(repeats, "RANGE_ROWS", 3)
    unrepeated(workshop, "ranged")
    assert len(list((workshop.folder("ranged") / "scratch").glob("repeated-*.npy"))) >= 16
    assert workshop.files("ranged") == workshop.files("clean")


def test_an_added_file_reads_one_shard_again(workshop):
    collected(workshop, [f"{own(n)}\n\n{NOTICE}" for n in range(24)])
    unrepeated(workshop)
    before = workshop.cached_shards()
    unrepeated(workshop, "again", keep="none", max_removed_share=0.9)
    assert workshop.cached_shards() == before


PARAGRAPHS = st.lists(st.sampled_from([NOTICE, MENU, own(1), own(2), own(3), "short"]), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(PARAGRAPHS, min_size=1, max_size=6))
def test_afterwards_every_long_paragraph_is_there_exactly_once(workshop_at, tmp_path_factory, documents):
    workshop = workshop_at(tmp_path_factory.mktemp("law"))
    collected(workshop, ["\n\n".join(paragraphs) for paragraphs in documents])
    counts = unrepeated(workshop, count="occurrences")
    left = [p for text in texts_of(workshop).values() for p in text.split("\n\n")]
    long = {p for paragraphs in documents for p in paragraphs if len(p) >= 40}
    assert sorted(p for p in left if len(p) >= 40) == sorted(long)
    assert left.count("short") == sum(paragraphs.count("short") for paragraphs in documents)
    assert counts["documents_in"] == counts["documents"] + counts["dropped"] == len(documents)
