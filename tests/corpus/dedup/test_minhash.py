import numpy as np
import pyarrow as pa
import pytest

from whorl.corpus.dedup import Dedup
from whorl.text.batch import TextBatch

WORDS = [f"word{i}" for i in range(200)]


def links(*texts: str, **settings: object) -> set[frozenset[int]]:
    minhash = Dedup.model_validate({"use": "minhash", **settings})
    batch = TextBatch(pa.chunked_array([list(texts)], pa.large_string()))
    found = minhash.links(minhash.sign(batch), np.arange(len(texts), dtype=np.uint64))
    return {frozenset(pair) for pair in found.tolist()}


def test_one_changed_word_in_two_hundred_is_a_copy_and_half_of_them_is_not():
    text = " ".join(WORDS)
    changed = " ".join(["other", *WORDS[1:]])
    half = " ".join(WORDS[:100] + [f"else{i}" for i in range(100)])
    assert links(text, changed, half) == {frozenset({0, 1})}


def test_case_and_punctuation_do_not_make_a_text_new():
    text = " ".join(WORDS)
    assert links(text, text.upper().replace(" ", ", ")) == {frozenset({0, 1})}


def test_texts_without_words_resemble_nothing():
    assert links("", "", "...", "...") == set()


def test_permutations_that_do_not_fill_the_bands_are_refused():
    with pytest.raises(ValueError, match=r"permutations=100 must be a multiple of bands=14"):
        Dedup.model_validate({"use": "minhash", "permutations": 100})
