import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.evals.document_nats import document_nats


class PreviousToken:
    """A model whose log-probability of a token says which token came before it, and how many tokens it could see."""

    def score(self, sequences):
        return [np.array([-(before + 0.001 * seen) for seen, before in enumerate(ids[:-1])]) for ids in sequences]


def document(*text):
    return np.array([0, *text, 1], dtype=np.uint16)


def nats(documents, width):
    told = []
    found = document_nats(PreviousToken(), documents, width=width, report=told.append)
    assert sum(told) == len(documents)
    assert all(more >= 0 for more in told)
    return found


def test_begin_and_end_marks_are_not_counted_by_hand():
    # 5 after the begin mark 0: 0; 6 after 5: 5.001; 7 after 6: 6.002. The end mark after 7 is not scored.
    assert nats([document(5, 6, 7)], width=8) == pytest.approx([11.003])


def test_windows_of_four_by_hand():
    # Tokens 0 5 6 7 8 9: the first window scores 5 6 7, the second begins at 6 and scores 8 and 9.
    first, second = 0 + 5.001 + 6.002, 7.001 + 8.002
    assert nats([document(5, 6, 7, 8, 9)], width=4) == pytest.approx([first + second])


def test_an_empty_document_costs_nothing():
    assert nats([document(), document(5)], width=4) == pytest.approx([0.0, 0.0])


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=8), width=st.integers(2, 20))
def test_every_document_costs_what_it_costs_alone(lengths, width):
    documents = [document(*range(5, 5 + length)) for length in lengths]
    together = nats(documents, width)
    assert together.tolist() == pytest.approx([nats([one], width)[0] for one in documents])


class OneNat:
    """A model that gives every token one nat."""

    def score(self, sequences):
        return [-np.ones(len(ids) - 1) for ids in sequences]


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=8), width=st.integers(2, 20))
def test_every_token_of_text_is_scored_once(lengths, width):
    documents = [document(*range(5, 5 + length)) for length in lengths]
    assert document_nats(OneNat(), documents, width=width, report=lambda more: None).tolist() == lengths
