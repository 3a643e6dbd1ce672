import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.tokens.learn import learn_tokenizer

TINY = learn_tokenizer(["the thread follows the thread"], size=280)
texts = st.lists(st.text(max_size=20), max_size=6)


def rows(encoded):
    return [encoded.ids[a:b].tolist() for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]


@settings(max_examples=50)
@given(batch=texts, cut=st.integers(0, 6), kind=st.sampled_from([pa.string(), pa.large_string()]))
def test_a_column_is_encoded_like_its_texts_one_by_one(batch, cut, kind):
    column = pa.array(batch, kind).slice(cut)
    encoded = TINY.encode_column(column)
    assert rows(encoded) == [TINY.encode(text) for text in batch[cut:]]
    assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.uint32, np.int64)
    assert encoded.offsets[0] == 0
    assert len(encoded.offsets) == len(column) + 1


def test_a_column_in_chunks_is_one_column():
    chunks = pa.chunked_array([pa.array(["the"]), pa.array(["", "thread"])])
    assert rows(TINY.encode_column(chunks)) == [TINY.encode("the"), [], TINY.encode("thread")]


def test_more_texts_than_one_chunk_keep_their_order():
    many = [str(number) for number in range(2100)]
    assert [TINY.decode(ids) for ids in TINY.encode_batch(many)] == many


def test_a_null_is_an_error():
    with pytest.raises(DataError, match="1 of 2 texts are null"):
        TINY.encode_column(pa.array(["a", None]))
    with pytest.raises(DataError, match="text 1 of 2: want a string, got NoneType"):
        TINY.encode_batch(["a", None])


def test_bytes_that_are_no_utf8_are_an_error():
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])
    with pytest.raises(DataError, match="one of 1 texts is not UTF-8"):
        TINY.encode_column(broken)


def test_a_column_of_numbers_is_an_error():
    with pytest.raises(DataError, match="a column of int64; want strings"):
        TINY.encode_column(pa.array([1]))


@pytest.mark.parametrize("wrong", [[b"bytes"], [3]])
def test_a_batch_of_something_else_is_an_error(wrong):
    with pytest.raises(DataError, match=r"text 0 of 1: want a string, got (bytes|int)"):
        TINY.encode_batch(wrong)
