import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.evals.baselines import Baseline

MARK = None  # the boundary in the reference: no byte


def ngram(order):
    return Baseline.model_validate({"use": "ngram", "order": order})


class Reference:
    """The same model in plain Python: dictionaries, one byte at a time."""

    def __init__(self, train, order):
        self.order = order
        self.counts = Counter()
        for document in train:
            symbols = [MARK] * (order - 1) + list(document)
            for at in range(order - 1, len(symbols)):
                for length in range(order):
                    self.counts[tuple(symbols[at - length : at]), symbols[at]] += 1
        self.totals, self.kinds = Counter(), Counter()
        for (context, _), count in self.counts.items():
            self.totals[context] += count
            self.kinds[context] += 1

    def chance(self, context, byte):
        shorter = self.chance(context[1:], byte) if context else 1 / 256
        if not self.totals[context]:
            return shorter
        return (self.counts[context, byte] + self.kinds[context] * shorter) / (self.totals[context] + self.kinds[context])

    def bits(self, document):
        symbols = [MARK] * (self.order - 1) + list(document)
        pairs = [(tuple(symbols[at - self.order + 1 : at]), symbols[at]) for at in range(self.order - 1, len(symbols))]
        return -sum(math.log2(self.chance(context, byte)) for context, byte in pairs)


def test_a_bigram_of_abab_by_hand():
    # Training 'abab'. Unigram: 4 bytes, 2 kinds: p(a) = p(b) = (2 + 2/256) / 6.
    # After the boundary: 'a' once, one kind: p = (1 + p(a)) / 2. After 'a': 'b' twice, one kind: p = (2 + p(b)) / 3.
    unigram = (2 + 2 / 256) / 6
    bits = -math.log2((1 + unigram) / 2) - math.log2((2 + unigram) / 3)
    assert ngram(2).cost([b"abab"], [b"ab"]).total_bits == pytest.approx(bits, rel=1e-12)


def test_an_unseen_context_passes_the_shorter_one_on():
    # 'z' was never seen, so 'a' after it costs what it costs without context: (2 + 2/256) / 6.
    z, a = (0 + 2 / 256) / 6, (2 + 2 / 256) / 6
    after_mark = (0 + 1 * z) / 2
    bits = -math.log2(after_mark) - math.log2(a)
    assert ngram(2).cost([b"abab"], [b"za"]).total_bits == pytest.approx(bits, rel=1e-12)


small = st.lists(st.binary(max_size=12).map(lambda b: bytes(c % 5 + 97 for c in b)), min_size=1, max_size=4)


@settings(max_examples=50)
@given(train=small, scored=small, order=st.integers(1, 5))
def test_bits_equal_the_plain_python_reference(train, scored, order):
    reference = Reference(train, order)
    found = ngram(order).cost(train, scored).document_bits
    assert found.tolist() == pytest.approx([reference.bits(document) for document in scored], rel=1e-9)


@settings(max_examples=10)
@given(train=small, context=st.binary(max_size=6).map(lambda b: bytes(c % 5 + 97 for c in b)))
def test_the_chances_of_all_256_next_bytes_sum_to_one(train, context):
    model = ngram(5)
    before = model.cost(train, [context]).total_bits if context else 0.0
    after = model.cost(train, [context + bytes([byte]) for byte in range(256)]).document_bits
    assert sum(2.0 ** -(bits - before) for bits in after) == pytest.approx(1.0, rel=1e-9)


def test_a_document_is_scored_from_its_own_beginning():
    together = ngram(5).cost([b"abcabc", b"bca"], [b"abc", b"cab"]).document_bits
    alone = [ngram(5).cost([b"abcabc", b"bca"], [document]).total_bits for document in (b"abc", b"cab")]
    assert together.tolist() == pytest.approx(alone, rel=1e-12)


def test_without_training_every_byte_costs_eight_bits():
    assert ngram(5).cost([], [b"abc"]).total_bits == pytest.approx(24.0)


def test_seven_symbols_still_fit_and_eight_are_refused():
    assert ngram(7).cost([b"\xff" * 9], [b"\xff" * 9]).total_bits < 9 * 8
    with pytest.raises(ValueError, match="less than or equal to 7"):
        ngram(8)
