import pyarrow as pa

from whorl.text.batch import TextBatch
from whorl.text.columns import text_digests, text_keys


def test_ratio_is_zero_where_there_is_nothing_to_divide_by():
    batch = TextBatch(pa.array(["ab cdef", "", "?"]))
    assert batch.ratio("num_word_chars", "num_words").tolist() == [3.0, 0.0, 0.0]


def test_different_vocabulary_words_are_counted_once_each_in_any_case():
    batch = TextBatch(pa.array(["The cat and THE dog", "nothing", "", "and of the"]))
    assert batch.distinct_hits(("the", "of", "and")).tolist() == [2, 0, 0, 3]
    assert batch.distinct_hits(()).tolist() == [0, 0, 0, 0]


def test_statistics_are_by_text_and_bytes_are_utf8():
    batch = TextBatch(pa.chunked_array([["a\u00e9"], ["", "one two"]], pa.string()))
    assert batch.statistics["num_bytes"].tolist() == [3, 0, 7]
    assert batch.statistics["num_chars"].tolist() == [2, 0, 7]


def test_digests_and_keys_depend_on_the_text_alone():
    column = pa.array(["a", "b", "a", ""])
    digests, keys = text_digests(column), text_keys(column)
    assert digests.shape == (4, 4)
    assert digests[0].tolist() == digests[2].tolist() != digests[1].tolist()
    assert keys[0] == keys[2] != keys[3]
    assert text_keys(column.slice(2, 1))[0] == keys[0]
    assert text_digests(pa.array([], pa.string())).shape == (0, 4)
