"""What every meaning of "copy" promises, whichever it is."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.dedup import Dedup
from whorl.corpus.fates import KEPT, Candidates, Survival, decide
from whorl.corpus.groups import KnownParts
from whorl.corpus.keep import Keep
from whorl.corpus.known import KnownCorpus
from whorl.text.batch import TextBatch
from whorl.text.columns import text_keys
from whorl.text.lsh import NO_MATCH, KnownTable, sorted_bands

SHARES = (0.5, 0.25, 0.25)
NOTHING_KNOWN = KnownParts.of(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))
PASSAGES = ["the cat sat on the mat today", "The cat sat on the mat, today!", "a b c d e f g h", "a b c d e f g x", "", "one"]
CORPORA = st.lists(st.one_of(st.sampled_from(PASSAGES), st.text(max_size=20)), min_size=1, max_size=10)


def decided(dedup, documents, others=(), **keep):
    """id -> (kept, what stands for it, part) for documents (id, text, group); a known document is called `known:N`."""
    ids, texts, groups = (pa.chunked_array([list(column)], pa.large_string()) for column in zip(*documents, strict=True))
    batch = TextBatch(texts)
    signatures = tuple(member.sign(batch) for member in dedup)
    ranked = batch.num_bytes.astype(float)
    candidates = Candidates(ids, batch.num_bytes, text_keys(groups), signatures, np.array([0, len(ids)]), ranked)
    fates = decide(candidates, Survival(dedup, Keep(**keep), others), SHARES, NOTHING_KNOWN)
    names = ids.to_pylist()
    stands = [names[i] if k == NO_MATCH else f"known:{k}" for i, k in zip(fates.kept_instead, fates.known, strict=True)]
    return {name: (fates.dropped_by[i] == KEPT, stands[i], int(fates.parts[i])) for i, name in enumerate(names)}


def known_corpus(dedup, texts):
    """A finished corpus as an index, without files."""
    batch = TextBatch(pa.array(texts, pa.large_string()))
    signed = [member.sign(batch) for member in dedup]
    bands = [member.banding().bands for member in dedup]
    tables = tuple(KnownTable(table, tuple(sorted_bands(table, count))) for table, count in zip(signed, bands, strict=True))
    return KnownCorpus("old", "old", (), np.array([0, len(texts)]), tables)


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


@pytest.mark.parametrize("name", Dedup.names())
@settings(max_examples=40, deadline=None)
@given(texts=CORPORA)
def test_with_keep_none_only_documents_without_copies_stay(name, texts):
    member = Dedup.model_validate({"use": name})
    fates, longest = decided([member], numbered(texts), policy="none"), decided([member], numbered(texts))
    stand_for = {instead for doc, (_, instead, _) in longest.items() if instead != doc}
    for doc, (is_kept, instead, _) in fates.items():
        assert is_kept == (longest[doc][0] and doc not in stand_for)
        assert is_kept == (instead == doc)


@pytest.mark.parametrize("name", Dedup.names())
@settings(max_examples=40, deadline=None)
@given(texts=CORPORA, old=st.lists(st.sampled_from(PASSAGES), max_size=4))
def test_documents_that_another_corpus_holds_are_dropped_and_all_others_fare_as_without_it(name, texts, old):
    member = Dedup.model_validate({"use": name})
    documents = numbered(texts)
    fates, alone = decided([member], documents, [known_corpus([member], old)]), decided([member], documents)
    for (doc, text, _), (is_kept, instead, part) in zip(documents, fates.values(), strict=True):
        own = decided([member], [(doc, text, "g")], [known_corpus([member], old)])[doc]
        if not own[0]:
            assert (is_kept, instead) == own[:2]
        elif not instead.startswith("known:"):
            assert (is_kept, instead, part) == alone[doc]
        assert part == alone[doc][2]


@pytest.mark.parametrize("name", Dedup.names())
def test_what_resembles_a_known_document_through_another_is_dropped_with_it(name):
    text = "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w21 w22 w23"
    member = Dedup.model_validate({"use": name})
    documents = [("a", text, "x"), ("b", text, "y"), ("c", "nothing of the kind is said here", "z")]
    fates = decided([member], documents, [known_corpus([member], ["other words"]), known_corpus([member], [text])])
    assert [fates[doc][:2] for doc in "abc"] == [(False, "known:1"), (False, "known:1"), (True, "c")]


@pytest.mark.parametrize("name", Dedup.names())
def test_members_sign_alike_exactly_when_what_signs_is_alike(name):
    member = Dedup.model_validate({"use": name})
    assert member.signed_by() == Dedup.model_validate({"use": name}).signed_by()
    assert set(member.signs) <= set(type(member).model_fields)
    assert 0 <= member.banding().threshold <= 1
    width = member.sign(TextBatch(pa.array(["a b"], pa.large_string()))).shape[1]
    assert width % member.banding().bands == 0
