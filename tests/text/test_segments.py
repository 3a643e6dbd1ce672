import re

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.batch import TextBatch
from whorl.text.segments import segments


def found(kind, *texts):
    """(text, what is seen, what is cut, characters) of every segment."""
    batch = TextBatch(pa.array(texts, pa.large_string()))
    own = segments(batch.buffers, batch.words, kind)
    data = bytes(batch.buffers.data)
    places = zip(own.texts, own.starts, own.ends, own.cut_starts, own.cut_ends, own.num_chars, strict=True)
    return [(int(t), data[a:b].decode(), data[c:d].decode(), int(n)) for t, a, b, c, d, n in places]


def hashes(kind, *texts):
    batch = TextBatch(pa.array(texts, pa.large_string()))
    return segments(batch.buffers, batch.words, kind).hashes.tolist()


def test_lines_are_cut_with_their_indentation_and_the_blank_lines_after_them():
    text = "  first\n\n\tsecond \u00e9\n  \nthird"
    assert found("line", "", text, " \n") == [
        (1, "first", "  first\n\n", 5),
        (1, "second \u00e9", "\tsecond \u00e9\n  \n", 8),
        (1, "third", "third", 5),
    ]


def test_paragraphs_end_at_lines_of_white_space():
    text = "a b\nc\n \t\n  d\r\n\r\ne\n"
    assert [seen for _, seen, _, _ in found("paragraph", text)] == ["a b\nc", "d", "e"]
    assert [cut for _, _, cut, _ in found("paragraph", text)] == ["a b\nc\n \t\n", "  d\r\n\r\n", "e\n"]


def test_a_hash_is_that_of_words_and_punctuation_whatever_the_case_and_spacing():
    same, as_well, other = hashes("paragraph", "One two, three\nfour.", "ONE  two ,three four .", "One two three four.")
    assert same == as_well != other


def test_a_segment_has_one_hash_wherever_it_is():
    assert len(set(hashes("line", "x y\nthis one\nz", "this one", "\n\nthis one\n"))) == 3  # with x y and z


TEXTS = st.lists(st.text(st.sampled_from("ab.\n\r\t \u00e9\u4e16"), max_size=30), max_size=5)


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_segments_equal_splitting_in_plain_python(texts):
    blank = "[ \t\r\x0b\x0c]"
    for kind, boundary in (("line", "\n"), ("paragraph", f"\n(?={blank}*\n)")):
        wanted = [
            (number, piece.strip("\n\t\r \x0b\x0c"))
            for number, text in enumerate(texts)
            for piece in re.split(boundary, text)
            if piece.strip("\n\t\r \x0b\x0c")
        ]
        assert [(number, seen) for number, seen, _, _ in found(kind, *texts)] == wanted


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_cuts_and_what_comes_before_the_first_are_the_whole_text(texts):
    for kind in ("line", "paragraph"):
        cuts = found(kind, *texts)
        for number, text in enumerate(texts):
            whole = "".join(cut for own, _, cut, _ in cuts if own == number)
            assert text.endswith(whole)
            assert not text[: len(text) - len(whole)].strip()


def test_no_texts_have_no_segments():
    assert found("line") == []
    assert (
        segments(*(lambda b: (b.buffers, b.words))(TextBatch(pa.array([], pa.large_string()))), "line").hashes.dtype
        == np.uint64
    )
