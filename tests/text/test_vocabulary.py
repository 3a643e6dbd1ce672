import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.batch import TextBatch

WORDS = ["the", "be", "to", "don't", "\u00e9t\u00e9"]
TEXTS = st.lists(
    st.lists(st.sampled_from([*WORDS, "other", "Be", "THE", "."]), max_size=12).map(" ".join), min_size=1, max_size=5
)


@settings(deadline=None)
@given(texts=TEXTS)
def test_hits_are_different_words_of_the_vocabulary_in_any_case(texts):
    found = TextBatch(pa.array(texts, pa.large_string())).distinct_hits(WORDS)
    assert found.tolist() == [len({word.lower() for word in text.split()} & set(WORDS)) for text in texts]


def test_an_empty_vocabulary_is_never_hit():
    assert TextBatch(pa.array(["the end"], pa.large_string())).distinct_hits([]).tolist() == [0]
