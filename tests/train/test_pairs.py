import numpy as np
import pytest
from gap_ground import MASKED, draw, packed
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.train.pairs import paired_batch

BOS, END = 0, 1
LENGTHS = st.lists(st.lists(st.integers(1, 20), max_size=3), min_size=1, max_size=4)


def numbered(lengths):
    """Documents whose tokens tell where they are from: document 0 holds 7, 8, ..., document 1 goes on from there."""
    rows, next_id = [], 7
    for row in lengths:
        documents = []
        for length in row:
            documents.append([BOS, *range(next_id, next_id + length), END])
            next_id += length
        rows.append(documents)
    return packed(rows, 66)


def documents_of(batch):
    for row, names in enumerate(batch.doc_ids):
        for doc in range(len(names)):
            yield row, np.flatnonzero(batch.docs[row] == doc)


@settings(max_examples=50)
@given(lengths=LENGTHS, number=st.integers(0, 99))
def test_a_pair_is_two_stretches_of_text_between_markers_and_its_label_tells_whether_they_are_one(lengths, number):
    batch = numbered(lengths)
    found, num_pairs = paired_batch(batch, draw(number), MASKED)
    asked = 0
    for row, places in documents_of(batch):
        label, ids, segments = found.labels[row, places[0]], found.ids[row, places], found.segments[row, places]
        assert (found.labels[row, places[1:]] == -1).all()
        if len(places) < 5:
            assert label == -1
            assert (ids == batch.ids[row, places]).all()
            assert not segments.any()
            continue
        middle = int(np.flatnonzero(ids == END)[0])
        first, second = ids[1:middle], ids[middle + 1 : -1]
        assert (ids[0], ids[-1], len(first) > 0, len(second) > 0) == (BOS, END, True, True)
        assert segments.tolist() == [0] * (middle + 1) + [1] * (len(second) + 1)
        assert (np.diff(first) == 1).all()
        assert (np.diff(second) == 1).all()
        assert first[0] == batch.ids[row, places[1]]
        own = set(batch.ids[row, places].tolist())
        assert (label == 1) == (second[0] not in own)
        assert label == 1 or second[0] == first[-1] + 1
        asked += label >= 0
    assert asked == num_pairs == (found.labels >= 0).sum()


def test_a_second_segment_comes_from_elsewhere_in_half_of_the_pairs():
    batch = numbered([[8, 9, 10]] * 8)
    labels = [paired_batch(batch, draw(number), MASKED).batch.labels for number in range(200)]
    asked = np.concatenate([each[each >= 0] for each in labels])
    assert len(asked) == 200 * 24
    assert asked.mean() == pytest.approx(0.5, abs=0.025)  # over three sigma


def test_lengths_and_edges_do_not_give_the_answer_away():
    """Documents of very different lengths: were the second taken as it comes, its length would tell."""
    batch = numbered([[3, 20, 5], [12, 4, 18], [20, 20, 20]])
    lengths, edges = {0: [], 1: []}, {0: [], 1: []}
    starts = {batch.ids[row, places[1]] for row, places in documents_of(batch)}
    for number in range(400):
        found = paired_batch(batch, draw(number), MASKED).batch
        for row, places in documents_of(batch):
            label, segments = int(found.labels[row, places[0]]), found.segments[row, places]
            lengths[label].append((len(places), int(segments.sum())))
            edges[label].append(found.ids[row, places[-2]])
            assert found.ids[row, places[np.argmax(segments)]] not in starts, "a text's first token is never a second's"
    means = {label: np.mean([second for _, second in found]) for label, found in lengths.items()}
    assert means[0] == pytest.approx(means[1], rel=0.05)
    ends = {label: {int(edge) for edge in found} for label, found in edges.items()}
    assert ends[0] == ends[1], "every document gives its own end, and the same one to others"


def test_pieces_of_one_document_never_stand_in_for_another():
    batch = packed([[[BOS, *range(10, 19)]], [[*range(19, 28), END]]], 10)
    one_name = (("doc",), ("doc",))
    found = paired_batch(type(batch)(**{**vars(batch), "doc_ids": one_name}), draw(0), MASKED)
    assert found.num_pairs == 0
    assert (found.batch.labels == -1).all()
    assert found.batch.segments.any(), "with nobody to draw from it is still a pair, of what follows"


def test_the_middle_of_a_long_document_becomes_a_pair_too():
    batch = packed([[list(range(10, 20))], [list(range(40, 50))]], 10)
    found = paired_batch(batch, draw(3), MASKED).batch
    assert (found.ids[:, 0] == BOS).all()
    assert (found.ids[:, 1] == [10, 40]).all()
    assert (found.ids[:, -1] == END).all()
