import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whorl.core.events import Events
from whorl.core.pool import InlinePool
from whorl.core.records import DOCUMENTS
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache, shard_path, shard_paths, write_table
from whorl.core.stage import Job
from whorl.corpus import overlap
from whorl.corpus.overlap import measure_overlap
from whorl.text.columns import text_keys


@pytest.fixture
def measured(tmp_path_factory):
    """Overlaps of a corpus of shards of (id, text, part)."""

    def measure(*shards):
        folder = tmp_path_factory.mktemp("corpus")
        for number, rows in enumerate(shards):
            columns = {name: [None] * len(rows) for name in DOCUMENTS.names} | {"source": ["here"] * len(rows)}
            columns |= {name: [row[place] for row in rows] for place, name in enumerate(("id", "text", "part"))}
            write_table(pa.table(columns, schema=DOCUMENTS), shard_path(folder, "documents", number))
        job = Job("clean", folder, folder, {}, Seed(7), Events("clean"), InlinePool(), ShardCache(folder))
        return measure_overlap(job, shard_paths(folder))

    return measure


def numbered(*numbers):
    return " ".join(f"w{n}" for n in numbers)


def test_a_passage_in_training_is_found_whatever_shards_they_are_in(measured):
    exam = ("e", numbered(*range(40)), "exam")  # 28 different 13-grams
    train = ("t", f"before {numbered(*range(5, 25))} after", "train")  # 8 of them, 20 words
    found = measured([exam], [train], [("u", numbered(*range(100, 140)), "train")])
    assert found["exam"] == (28, 8, 20)
    assert found["held_out"] == (0, 0, 0)
    assert found["exam"].share == 8 / 28


def test_what_is_shared_below_an_ngram_is_measured_to_the_word(measured):
    exam = ("e", numbered(*range(40)), "exam")
    for words in (0, 1, 5, 12):
        train = ("t", f"before {numbered(*range(words))} after", "train")
        assert measured([exam], [train])["exam"].longest_words == words


def test_of_a_large_part_the_documents_with_the_smallest_hashes_are_watched(measured, monkeypatch):
    rows = [(f"e{n}", numbered(*range(100 * n, 100 * n + 20)), "exam") for n in range(6)]
    first = min(rows, key=lambda row: int(text_keys(pa.array([row[0]]))[0]))
    monkeypatch.setattr(overlap, "WATCHED_BYTES", len(first[1]) - 1)
    train = ("t", " x ".join(text for _, text, _ in rows), "train")
    assert measured(rows[:3], [*rows[3:], train])["exam"] == (8, 8, 20)


WORDS = st.lists(st.sampled_from("abc"), max_size=40).map(" ".join)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exam=st.lists(WORDS, min_size=1, max_size=3), train=st.lists(WORDS, max_size=3))
def test_overlap_equals_counting_tuples_of_words(measured, exam, train):
    def grams(texts, n):
        return {tuple(text.split()[i : i + n]) for text in texts for i in range(len(text.split()) - n + 1)}

    rows = [(f"{part}{n}", text, part) for part, texts in (("exam", exam), ("train", train)) for n, text in enumerate(texts)]
    longest = max(n for n in range(41) if n == 0 or grams(exam, n) & grams(train, n))
    wanted = (len(grams(exam, 13)), len(grams(exam, 13) & grams(train, 13)), longest)
    assert measured(rows[::2], rows[1::2])["exam"] == wanted
    assert np.isclose(measured(rows)["exam"].share, wanted[1] / max(1, wanted[0]))
