"""What every meaning of "copy" promises, whichever it is."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.dedup import Dedup
from whorl.corpus.fates import KEPT, Candidates, decide
from whorl.corpus.groups import KnownParts
from whorl.text.batch import TextBatch
from whorl.text.columns import text_keys

SHARES = (0.5, 0.25, 0.25)
NOTHING_KNOWN = KnownParts.of(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))
PASSAGES = ["the cat sat on the mat today", "The cat sat on the mat, today!", "a b c d e f g h", "a b c d e f g x", "", "one"]
CORPORA = st.lists(st.one_of(st.sampled_from(PASSAGES), st.text(max_size=20)), min_size=1, max_size=10)


def decided(dedup, documents):
    """id -> (kept, id kept instead, part) for documents (id, text, group)."""
    ids, texts, groups = (pa.chunked_array([list(column)], pa.large_string()) for column in zip(*documents, strict=True))
    batch = TextBatch(texts)
    signatures = tuple(member.sign(batch) for member in dedup)
    candidates = Candidates(ids, batch.num_bytes, text_keys(groups), signatures, np.array([0, len(ids)]))
    fates = decide(candidates, dedup, SHARES, NOTHING_KNOWN)
    names = ids.to_pylist()
    return {
        name: (fates.dropped_by[i] == KEPT, names[fates.kept_instead[i]], int(fates.parts[i])) for i, name in enumerate(names)
    }


def numbered(texts):
    return [(f"d{i}", text, f"g{i % 3}") for i, text in enumerate(texts)]


@pytest.mark.parametrize("name", Dedup.names())
@settings(max_examples=40, deadline=None)
@given(texts=CORPORA)
def test_dedup_keeps_what_it_names_as_kept_instead(name, texts):
    fates = decided([Dedup.model_validate({"use": name})], numbered(texts))
    for doc, (is_kept, instead, part) in fates.items():
        assert fates[instead][0]
        assert is_kept == (instead == doc)
        assert part == fates[instead][2]


@pytest.mark.parametrize("name", Dedup.names())
@settings(max_examples=40, deadline=None)
@given(texts=CORPORA, order=st.randoms(use_true_random=False))
def test_dedup_does_not_depend_on_the_order_of_documents(name, texts, order):
    documents = numbered(texts)
    shuffled = list(documents)
    order.shuffle(shuffled)
    member = Dedup.model_validate({"use": name})
    assert decided([member], shuffled) == decided([member], documents)


@pytest.mark.parametrize("name", Dedup.names())
def test_equal_texts_are_copies_and_unrelated_ones_are_not(name):
    same = "some words that are long enough to compare"
    documents = [("a", same, "x"), ("b", same, "y"), ("c", "nothing of the kind is written in this one", "z")]
    fates = decided([Dedup.model_validate({"use": name})], documents)
    assert sum(is_kept for is_kept, _, _ in fates.values()) == 2
    assert fates["c"][0]
    assert fates["a"][1] == fates["b"][1]


@pytest.mark.parametrize("name", Dedup.names())
def test_signature_of_a_text_does_not_depend_on_its_batch(name):
    member = Dedup.model_validate({"use": name})
    together = member.sign(TextBatch(pa.array(["x y", "one two three four five six", ""])))
    alone = member.sign(TextBatch(pa.array(["one two three four five six"])))
    assert together.dtype == np.uint32
    assert np.array_equal(together[1], alone[0])
    assert member.sign(TextBatch(pa.array([], pa.large_string()))).shape == (0, together.shape[1])


def test_copies_of_a_later_dedup_point_at_what_is_finally_kept():
    text = "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19"
    longer = text + " w20"
    documents = [("a", text, "x"), ("b", text, "y"), ("c", longer, "z")]
    members = [Dedup.model_validate({"use": "exact"}), Dedup.model_validate({"use": "minhash"})]
    fates = decided(members, documents)
    assert [fates[doc][1] for doc in "abc"] == ["c", "c", "c"]  # the longest stands for all, also for the exact copy
