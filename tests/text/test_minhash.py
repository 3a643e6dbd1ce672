import numpy as np
import pyarrow as pa
import pytest

from whorl.text.batch import TextBatch
from whorl.text.minhash import NO_WORDS, signatures, similarity


def signed(*texts, **options):
    return signatures(TextBatch(pa.array(texts, pa.large_string())).words, **options)


def words(numbers):
    return " ".join(f"w{n}" for n in numbers)


def jaccard(left, right, width=5):
    def shingles(numbers):
        return {tuple(numbers[i : i + width]) for i in range(len(numbers) - width + 1)}

    return len(shingles(left) & shingles(right)) / len(shingles(left) | shingles(right))


def test_case_and_punctuation_do_not_change_a_signature():
    table = signed("The quick brown fox, jumps over it.", "the QUICK brown fox jumps -- over it")
    assert np.array_equal(table[0], table[1])


@pytest.mark.parametrize("changed", [20, 120, 400])
def test_similarity_estimates_the_jaccard_index_of_shingles(changed):
    left = list(range(2000))
    right = list(range(changed, 2000 + changed))
    table = signed(words(left), words(right), permutations=512)
    truth = jaccard(left, right)
    tolerance = 4 * (truth * (1 - truth) / 512) ** 0.5  # four standard errors; the permutations are fixed, so this cannot flake
    assert similarity(table[:1], table[1:])[0] == pytest.approx(truth, abs=tolerance)


def test_a_text_without_words_has_the_empty_signature():
    assert (signed("", "?!...", "\n") == NO_WORDS).all()


def test_a_text_shorter_than_a_shingle_is_compared_whole():
    table = signed("one two", "one two", "one three")
    assert np.array_equal(table[0], table[1])
    assert similarity(table[:1], table[2:])[0] < 0.1


def test_signature_of_a_text_does_not_depend_on_its_batch():
    alone, together = signed("a b c d e f g"), signed("x y z", "a b c d e f g", "")
    assert np.array_equal(alone[0], together[1])


def test_word_order_matters_within_a_shingle():
    table = signed("a b c d e", "b a c d e")
    assert similarity(table[:1], table[1:])[0] < 0.1
