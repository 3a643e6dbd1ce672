import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.tokens import lattice, unigram
from whorl.tokens.unigram import learn_pieces

words = st.dictionaries(st.text("ab\u00e9\U0001f9f6", min_size=1, max_size=6), st.integers(1, 9), min_size=1, max_size=5)


def spelled(pieces):
    return [piece.data for piece in pieces]


def test_all_bytes_come_first_and_then_what_is_most_probable():
    pieces = learn_pieces({"ab": 10, "abc": 4}, 258)
    assert spelled(pieces)[:256] == [bytes([byte]) for byte in range(256)]
    assert spelled(pieces)[256:] == [b"ab", b"abc"]
    assert pieces[256].score > pieces[257].score > pieces[0].score


def test_the_words_themselves_win_and_their_scores_are_their_shares():
    pieces = {piece.data: piece.score for piece in learn_pieces({"xy": 30, "zw": 10}, 300)}
    # 40 words, each one piece; a byte that is never used counts as half a use.
    assert math.exp(pieces[b"xy"] - pieces[b"zw"]) == pytest.approx(3.0, rel=1e-3)
    assert math.exp(pieces[b"xy"]) == pytest.approx(30 / (40 + 256 * 0.5), rel=1e-3)


def test_a_text_too_poor_for_the_size_gives_fewer_pieces():
    assert len(learn_pieces({"ab": 2}, 5000)) == 257
    assert len(learn_pieces({}, 5000)) == 256


def test_a_piece_of_several_bytes_is_whole_characters():
    pieces = spelled(learn_pieces({"\u6771\u4eac\u6771": 5, "\u00e9t\u00e9": 5}, 400))
    assert len(pieces) > 256
    for piece in pieces[256:]:
        piece.decode()


def test_the_order_of_words_does_not_matter():
    table = {f"w{n % 7}or{n % 3}d": n for n in range(1, 60)}
    assert learn_pieces(table, 290) == learn_pieces(dict(reversed(table.items())), 290)


def test_pruning_keeps_what_words_are_made_of():
    # 216 words of three syllables each have thousands of substrings; there is room for the syllables only.
    syllables = ("spin", "whor", "thre", "weav", "loom", "fibr")
    table = {"".join(three): 1 + n % 3 for n, three in enumerate(itertools.product(syllables, repeat=3))}
    pieces = spelled(learn_pieces(table, 256 + len(syllables)))
    assert sorted(pieces[256:]) == sorted(syllable.encode() for syllable in syllables)


def test_a_very_long_word_is_learnt_from_in_parts():
    pieces = spelled(learn_pieces({"ab" * 50_000: 1, "\U0001f9f6" * 1000: 1}, 300))
    assert b"abab" in pieces
    assert ("\U0001f9f6" * 6).encode() in pieces, "the longest piece that bytes allow"


def test_counts_beyond_32_bits_do_not_wrap():
    pieces = learn_pieces({"ab": 5_000_000_000, "cd": 1_000_000_000}, 258)
    assert spelled(pieces)[256:] == [b"ab", b"cd"]
    assert math.exp(pieces[256].score - pieces[257].score) == pytest.approx(5.0, rel=1e-6)


def test_passes_over_the_substrings_find_the_same_as_one(monkeypatch):
    pairs = itertools.product(("spin", "whorl", "\u00e9t\u00e9"), repeat=2)
    table = {f"{a}{b}{a}": n for n, (a, b) in enumerate(pairs, start=1)}
    whole = learn_pieces(table, 290)
    monkeypatch.setattr(unigram, "_AT_ONCE", 100)
    assert learn_pieces(table, 290) == whole


def cuts(word):
    """Every way to cut a word into pieces."""
    if not word:
        yield ()
    for end in range(1, len(word) + 1):
        for rest in cuts(word[end:]):
            yield (word[:end], *rest)


def model_of(table, seed):
    """Candidates for a table with scores drawn at random."""
    model = unigram._seeds(table, 1 << 16)
    return model._replace(scores=np.log(np.random.default_rng(seed).dirichlet(np.ones(len(model.scores)))))


def pieces_of(table, model):
    letters = {bytes([byte]): byte for byte in range(256)}
    return letters | {unigram._spelling(table, model, number): number for number in range(256, len(model.scores))}


def likelihood(cut, numbers, scores):
    return math.prod(math.exp(scores[numbers[piece]]) for piece in cut)


@settings(max_examples=50)
@given(words=words)
def test_substrings_are_counted_as_a_loop_would(words):
    table = unigram._words(words)
    hashes, totals, places = lattice.count_substrings(table, 0, 1)
    found = {}
    for total, place in zip(totals.tolist(), places.tolist(), strict=True):
        start, length = place >> lattice.LENGTH_BITS, place & 31
        found[table.data[start : start + length].tobytes()] = total
    wanted = {}
    for word, count in words.items():
        for start, stop in itertools.combinations(range(len(word) + 1), 2):
            data = word[start:stop].encode()
            if 1 < len(data) <= lattice.LONGEST:
                wanted[data] = wanted.get(data, 0) + count
    assert found == wanted
    assert len(set(hashes.tolist())) == len(hashes)


@settings(max_examples=50)
@given(words=words, seed=st.integers(0, 99))
def test_expected_uses_are_the_average_over_every_way_to_cut(words, seed):
    words = {word[:4]: count for word, count in words.items()}
    table = unigram._words(words)
    model = model_of(table, seed)
    numbers = pieces_of(table, model)
    wanted = np.zeros(len(model.scores))
    for word, count in words.items():
        ways = [way for way in cuts(word.encode()) if all(piece in numbers for piece in way)]
        total = sum(likelihood(way, numbers, model.scores) for way in ways)
        for way in ways:
            for piece in way:
                wanted[numbers[piece]] += count * likelihood(way, numbers, model.scores) / total
    assert unigram._expected(table, model) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@settings(max_examples=50)
@given(words=words, seed=st.integers(0, 99))
def test_the_best_path_is_the_best_of_every_way_to_cut(words, seed):
    words = {word[:4]: count for word, count in words.items()}
    table = unigram._words(words)
    model = model_of(table, seed)
    numbers = pieces_of(table, model)
    uses = np.zeros(len(model.scores))
    lattice.use_best_paths(table, *unigram._lookup(model.hashes), model.scores, uses)
    wanted = np.zeros(len(model.scores))
    for word, count in words.items():
        ways = [way for way in cuts(word.encode()) if all(piece in numbers for piece in way)]
        for piece in max(ways, key=lambda way: likelihood(way, numbers, model.scores)):
            wanted[numbers[piece]] += count
    assert uses.tolist() == wanted.tolist()


def test_the_loss_of_a_piece_is_what_its_letters_would_cost():
    # "ab" is used 8 times, its letters once each: without it, each use becomes a and b.
    table = unigram._words({"ab": 8, "a": 1, "b": 1})
    model = unigram._seeds(table, 1 << 16)
    numbers = pieces_of(table, model)
    uses = np.zeros(len(model.scores))
    uses[[numbers[b"ab"], numbers[b"a"], numbers[b"b"]]] = 8, 1, 1
    losses = lattice.losses_without(table.data, *unigram._lookup(model.hashes), model, uses)
    with_it = math.log(8 / 10)
    without = 2 * math.log((1 + 8) / (10 + 8))
    assert losses[numbers[b"ab"]] == pytest.approx(8 * (with_it - without))
    assert losses[numbers[b"a"]] == -math.inf
