"""tasks/words: endless made-up words that can nearly be said aloud, and their letters written apart.

Letters are written apart (`c a t`) because a tokenizer hides the letters of a whole word from a small model. Words are drawn,
not listed, so no word list is shipped and none can be memorised. Lengths are 3 to 8, each equally likely.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from whorl.core.seed import Seed
from whorl.tasks.asking import Case

__all__ = ["MAX_LETTERS", "MIN_LETTERS", "letters_operand", "spaced", "word_cases", "words"]

MIN_LETTERS = 3
MAX_LETTERS = 8
_BLOCK = 2048
_VOWELS = np.frombuffer(b"aeiou", dtype=np.uint8)
_CONSONANTS = np.frombuffer(b"bcdfghjklmnpqrstvwxyz", dtype=np.uint8)
_SWITCH = 0.8  # chance that a vowel follows a consonant and the other way round; never three of a kind in a row


def words(seed: Seed) -> Iterator[str]:
    """Random words, for ever; the same seed gives the same words."""
    rng = seed.generator()
    while True:
        lengths = rng.integers(MIN_LETTERS, MAX_LETTERS + 1, size=_BLOCK)
        for letters, length in zip(_letters(rng), lengths, strict=True):
            yield letters[:length].tobytes().decode("ascii")


def _letters(rng: np.random.Generator) -> np.ndarray:
    """Letters of one block of words, (block, MAX_LETTERS) uint8."""
    is_vowel = np.empty((_BLOCK, MAX_LETTERS), dtype=bool)
    is_vowel[:, 0] = rng.random(_BLOCK) < 0.5
    for column in range(1, MAX_LETTERS):
        before = is_vowel[:, column - 1]
        is_pair = np.zeros(_BLOCK, dtype=bool) if column == 1 else before == is_vowel[:, column - 2]
        is_vowel[:, column] = before ^ (is_pair | (rng.random(_BLOCK) < _SWITCH))
    vowels = rng.choice(_VOWELS, size=is_vowel.shape)
    consonants = rng.choice(_CONSONANTS, size=is_vowel.shape)
    return np.where(is_vowel, vowels, consonants)


def spaced(word: str) -> str:
    """`cat` as `c a t`."""
    return " ".join(word)


def letters_operand(word: str) -> str:
    """The operand of every skill on a word: its letters in order, so anagrams and mirror images never cross parts."""
    return f"letters:{''.join(sorted(word))}"


def word_cases(seed: Seed, templates: Sequence[str], answer: Callable[[str], str]) -> Iterator[Case]:
    """A word skill as cases: a word, one of the templates with the spaced word at `{0}`, and the answer.

    Words whose answer is the prompt's own text (palindromes to reverse, sorted letters to sort) are passed over.
    """
    rng = seed.child("templates").generator()
    for word in words(seed.child("words")):
        template = templates[int(rng.integers(len(templates)))]
        if answer(word) != spaced(word):
            yield Case(template.format(spaced(word)), answer(word), letters_operand(word))
