import pyarrow as pa

from whorl.core.config import Member
from whorl.corpus.dedup import Dedup
from whorl.text.batch import TextBatch


def signatures(*texts: str):
    exact: Member = Dedup.model_validate({"use": "exact"})
    return exact.sign(TextBatch(pa.chunked_array([list(texts)], pa.large_string())))


def test_texts_that_differ_in_one_byte_have_other_signatures():
    one, same, other = signatures("The cat sat.", "The cat sat.", "The cat sat,")
    assert (one == same).all()
    assert (one != other).any()


def test_a_link_joins_each_copy_to_one_representative_and_to_no_stranger():
    exact = Dedup.model_validate({"use": "exact"})
    batch = TextBatch(pa.chunked_array([["a b", "c d", "a b", "a b"]], pa.large_string()))
    links = exact.links(exact.sign(batch), pa.array([3, 2, 1, 0], pa.uint64()).to_numpy())
    joined = {frozenset(pair) for pair in links.tolist()}
    assert set().union(*joined) == {0, 2, 3}
    assert len(joined) == 2
