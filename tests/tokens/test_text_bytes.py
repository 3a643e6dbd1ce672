import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.text_bytes import TextBytes
from whorl.tokens.tokenizer import VOCABULARY_FILE, EncodedColumn, Tokenizer

TINY = learn_tokenizer(["the thread follows the thread"], size=280)


def lossy():
    """The same vocabulary behind a step that lower cases, which no table can see through."""
    value = json.loads(TINY.files[VOCABULARY_FILE])
    value["normalizer"] = {"type": "Lowercase"}
    return Tokenizer({**TINY.files, VOCABULARY_FILE: json.dumps(value)})


@pytest.mark.parametrize("tokenizer", [TINY, lossy()], ids=["lossless", "lossy"])
@given(texts=st.lists(st.text(max_size=20), max_size=6))
def test_ids_spell_as_many_bytes_as_they_decode_to(tokenizer, texts):
    encoded = tokenizer.encode_column(pa.array(texts, pa.large_string()))
    decoded = [tokenizer.decode(encoded.ids[left:right]) for left, right in pairwise(encoded.offsets)]
    assert TextBytes(tokenizer).of(encoded).tolist() == [len(text.encode()) for text in decoded]


@pytest.mark.parametrize("tokenizer", [TINY, lossy()], ids=["lossless", "lossy"])
def test_special_ids_spell_nothing_and_are_counted(tokenizer):
    a, b = tokenizer.encode("a")[0], tokenizer.encode("bb")
    encoded = EncodedColumn(np.array([a, tokenizer.end, a, *b], np.uint32), np.array([0, 3, 3, 3 + len(b)]))
    assert TextBytes(tokenizer).of(encoded).tolist() == [2, 0, 2]
    assert TextBytes(tokenizer).num_special(encoded) == 1


def test_half_a_character_is_half_a_character():
    ids = np.array(TINY.encode("\u6771"), np.uint32)
    assert len(ids) == 3
    assert TextBytes(TINY).of(EncodedColumn(ids, np.array([0, 1, 3]))).tolist() == [1, 2]


@pytest.mark.parametrize("tokenizer", [TINY, lossy()], ids=["lossless", "lossy"])
def test_an_id_that_means_nothing_is_an_error(tokenizer):
    with pytest.raises(DataError, match=f"id {tokenizer.size} is outside the vocabulary"):
        TextBytes(tokenizer).of(EncodedColumn(np.array([tokenizer.size], np.uint32), np.array([0, 1])))


@given(ids=st.lists(st.integers(0, TINY.size - 1), max_size=12))
def test_ids_in_any_order_spell_what_they_decode_to(ids):
    spelled = TextBytes(TINY).spelled
    assert len(spelled) == TINY.size
    assert b"".join(spelled[number] for number in ids).decode(errors="replace") == TINY.decode(ids)


def test_what_a_table_cannot_spell_has_no_table():
    assert TextBytes(lossy()).spelled is None
