import math

import numpy as np
import pytest
from gap_ground import MASKED, draw, packed
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import ConfigError
from whorl.tokens.learn import learn_tokenizer
from whorl.train.masking import Masking, masked_batch, required_mask

PLAIN = st.integers(7, 298)
DOCUMENTS = st.lists(st.lists(PLAIN, max_size=12).map(lambda ids: [0, *ids, 1]), max_size=3)
BATCHES = st.lists(DOCUMENTS, min_size=1, max_size=4).map(lambda rows: packed(rows, 44))
BERT = Masking(0.15, 0.1, 0.1)


def spread(documents):
    """Documents of these ids, one a row."""
    return packed([[document] for document in documents], max(map(len, documents)))


@settings(max_examples=50)
@given(batch=BATCHES, number=st.integers(0, 9), rate=st.sampled_from([0.15, 0.3, 0.9]))
def test_only_text_is_hidden_and_what_was_there_is_the_target(batch, number, rate):
    found = masked_batch(batch, Masking(rate, 0.1, 0.1), draw(number), MASKED)
    is_hidden = found.weights != 0
    assert not np.isin(batch.ids[is_hidden], MASKED.special_ids).any()
    assert (batch.docs[is_hidden] >= 0).all()
    assert (found.targets[is_hidden] == batch.ids[is_hidden]).all()
    assert (found.targets[~is_hidden] == 0).all()
    assert (found.ids[~is_hidden] == batch.ids[~is_hidden]).all()
    assert set(np.unique(found.weights)) <= {0.0, 1.0}
    assert (found.docs is batch.docs, found.positions is batch.positions) == (True, True)


@settings(max_examples=50)
@given(batch=BATCHES, number=st.integers(0, 9))
def test_every_document_of_a_row_loses_its_own_share(batch, number):
    found = masked_batch(batch, Masking(0.3, 0.1, 0.1), draw(number), MASKED)
    for row, documents in enumerate(batch.doc_ids):
        for doc in range(len(documents)):
            mine = batch.docs[row] == doc
            wanted = 0.3 * (mine.sum() - 2)
            assert math.floor(wanted) <= found.weights[row, mine].sum() <= math.ceil(wanted)


def test_the_share_is_exact_in_the_mean_however_short_documents_are():
    batch = spread([[0, 9, 10, 1]] * 40_000)  # two tokens: 0.3 of each, never 0.5 because of rounding up
    found = masked_batch(batch, BERT, draw(1), MASKED)
    assert found.num_targets / 80_000 == pytest.approx(0.15, abs=0.003)
    assert (found.weights.sum(axis=1) <= 1).all()


def test_the_hidden_become_masks_other_tokens_and_themselves_in_the_written_shares():
    batch = spread([list(range(7, 299))] * 300)
    found = masked_batch(batch, BERT, draw(2), MASKED)
    was, now = batch.ids[found.weights != 0], found.ids[found.weights != 0]
    assert len(was) == pytest.approx(300 * 292 * 0.15, rel=0.01)
    assert (now == MASKED.mask).mean() == pytest.approx(0.8, abs=0.01)
    assert (now == was).mean() == pytest.approx(0.1 + 0.1 / 292, abs=0.01)
    others = now[(now != was) & (now != MASKED.mask)]
    assert not np.isin(others, MASKED.special_ids).any()
    assert len(np.unique(others)) > 280, "of 292 tokens of text, all but a few turn up among 1,300 draws"


def test_every_place_of_a_text_is_hidden_equally_often():
    batch = spread([[0, *range(10, 30), 1]] * 4000)
    found = masked_batch(batch, Masking(0.3, 0.0, 0.0), draw(3), MASKED)
    assert found.weights[:, 1:21].mean(axis=0) == pytest.approx(0.3, abs=0.03)  # four sigma
    assert (found.ids[found.weights != 0] == MASKED.mask).all()


def test_the_same_draw_hides_the_same_tokens_and_another_does_not():
    batch = spread([[0, *range(10, 60), 1]] * 4)
    one, again, other = (masked_batch(batch, BERT, draw(number), MASKED) for number in (5, 5, 6))
    assert (one.ids == again.ids).all()
    assert (one.targets == again.targets).all()
    assert (one.targets != other.targets).any()


def test_what_is_hidden_in_a_document_does_not_hang_on_its_neighbours_share():
    """A short neighbour must not take masks away from a long one, nor give it its own."""
    batch = packed([[[0, *range(10, 30), 1], [0, 8, 1]]], 25)
    for number in range(20):
        found = masked_batch(batch, Masking(0.3, 0.0, 0.0), draw(number), MASKED)
        assert found.weights[0, :22].sum() == 6


def test_rows_without_text_have_no_targets():
    found = masked_batch(packed([[], [[0, 1]]], 6), BERT, draw(0), MASKED)
    assert found.num_targets == 0


def test_a_vocabulary_without_a_mask_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match=r"no token that stands for a hidden one; learn it with mask: true \(tokens.learn\)"):
        required_mask(learn_tokenizer(["a"], size=263))
    assert required_mask(MASKED) == 299
