from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.seed import Seed
from whorl.tasks.words import MAX_LETTERS, MIN_LETTERS, letters_operand, spaced, word_cases, words

VOWELS = set("aeiou")


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_words_have_three_to_eight_letters_and_never_three_vowels_or_consonants_in_a_row(root):
    for word in islice(words(Seed(root)), 200):
        assert MIN_LETTERS <= len(word) <= MAX_LETTERS
        assert word.isascii()
        assert word.islower()
        for triple in zip(word, word[1:], word[2:], strict=False):
            assert len({letter in VOWELS for letter in triple}) == 2


def test_every_letter_and_every_length_occurs():
    some = list(islice(words(Seed(3)), 2000))
    assert set("".join(some)) == set("abcdefghijklmnopqrstuvwxyz")
    assert {len(word) for word in some} == set(range(MIN_LETTERS, MAX_LETTERS + 1))


def test_the_same_seed_gives_the_same_words_and_another_seed_does_not():
    assert list(islice(words(Seed(3)), 50)) == list(islice(words(Seed(3)), 50))
    assert list(islice(words(Seed(3)), 50)) != list(islice(words(Seed(4)), 50))


def test_letters_are_written_apart():
    assert spaced("cat") == "c a t"


def test_anagrams_and_mirror_images_are_one_operand():
    assert letters_operand("tac") == letters_operand("cat") == "letters:act"
    assert letters_operand("cat") != letters_operand("cats")


def test_palindromes_are_not_asked_backwards():
    cases = islice(word_cases(Seed(1), ("{0}",), lambda word: spaced(word[::-1])), 3000)
    asked = [case.prompt.replace(" ", "") for case in cases]
    assert all(word != word[::-1] for word in asked)
    drawn = list(islice(words(Seed(1).child("words")), 3000))
    assert any(word == word[::-1] for word in drawn), "the draw holds palindromes, or this test could not fail"
