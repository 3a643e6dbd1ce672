import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.cut import Cuts, char_places, merged, without
from whorl.text.columns import text_buffers


def cuts(*spans):
    """Spans (text, start, end) in bytes of the batch."""
    return Cuts(*np.array(spans, dtype=np.int64).reshape(-1, 3).T)


def texts(*strings):
    return pa.array(strings, pa.large_string())


def test_spans_go_and_texts_without_one_keep_every_byte():
    assert without(texts("ab cd ef ", "xyz "), cuts((0, 3, 6))).to_pylist() == ["ab ef", "xyz "]
    assert without(texts("ab cd ef ", "xyz "), cuts()).to_pylist() == ["ab cd ef ", "xyz "]


def test_a_joint_stands_between_what_is_left_on_both_sides_and_nowhere_else():
    column = texts("ab cd ef", "ab cd")
    assert without(column, cuts((0, 3, 5), (1, 8, 11)), joint="\n\n").to_pylist() == ["ab\n\nef", "cd"]
    assert without(column, cuts((0, 0, 8)), joint="\n\n").to_pylist() == ["", "ab cd"]


def test_places_are_counted_in_characters_of_their_own_text():
    column = texts("\u00e9\u00e9", "a\u4e16b\u4e16c")
    places = char_places(text_buffers(column), cuts((1, 5, 8), (1, 9, 12)))  # after 4 bytes of the first text
    assert (places.starts.tolist(), places.ends.tolist()) == ([1, 3], [2, 4])


def test_overlapping_and_touching_spans_become_one_and_texts_stay_apart():
    found = merged(cuts((1, 12, 14), (0, 0, 4), (0, 3, 6), (0, 6, 8), (1, 8, 10)))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == [(0, 0, 8), (1, 8, 10), (1, 12, 14)]
    assert len(merged(cuts()).texts) == 0


SPANS = st.lists(st.tuples(st.integers(0, 19), st.integers(1, 6)), max_size=6)


@settings(max_examples=50, deadline=None)
@given(spans=SPANS)
def test_merged_spans_cover_the_same_bytes(spans):
    ends = [(0, start, min(20, start + size)) for start, size in spans]
    covered = {byte for _, start, end in ends for byte in range(start, end)}
    found = merged(cuts(*ends))
    assert {byte for start, end in zip(found.starts, found.ends, strict=True) for byte in range(start, end)} == covered
    assert (found.starts[1:] > found.ends[:-1]).all()
    assert found.num_bytes(1).tolist() == [len(covered)]
