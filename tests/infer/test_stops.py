from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import UsageError
from whorl.infer.stops import StopHit, StopStrings

# Every byte, some words, halves of characters, an id that spells nothing.
PIECES = [bytes([byte]) for byte in range(256)] + [b"ab", b"abc", b"bca", b"", "\u00e9".encode()[:1] + b"", b"\xa9a", b"\n\nU"]


def ids_of(*spelled: bytes) -> list[int]:
    return [PIECES.index(one) for one in spelled]


def watch(stops: list[str], ids: list[int]) -> tuple[StopStrings, str]:
    """What was shown along the way, up to the end if there was one."""
    watcher, shown = StopStrings(stops, PIECES), ""
    for token in ids:
        hit = watcher.feed(token)
        shown += watcher.ready()
        if hit:
            break
    return watcher, shown + watcher.rest()


def naive(stops: list[str], text: bytes) -> tuple[str, int] | None:
    """The stop string that is complete first, the longest of those complete there, and where it begins: all tried."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop.encode())]
        if complete:
            longest = max(complete, key=lambda stop: len(stop.encode()))
            return longest, end - len(longest.encode())
    return None


def test_a_stop_string_may_span_tokens_and_begin_inside_one():
    watcher, shown = watch(["ca b"], ids_of(b"ab", b"bca", b" ", b"b"))
    assert watcher.hit == StopHit("ca b", num_bytes=3, num_tokens=4, num_whole=1)
    assert shown == "abb"


def test_what_follows_a_stop_string_inside_a_token_is_cut_too():
    watcher, shown = watch(["b"], ids_of(b"a", b"abc"))
    assert watcher.hit == StopHit("b", num_bytes=2, num_tokens=2, num_whole=1)
    assert shown == "aa"


def test_the_first_to_be_complete_wins_and_among_those_the_longest():
    assert watch(["abcd", "bc"], ids_of(b"a", b"bca"))[0].hit == StopHit("bc", 1, 2, 1)
    assert watch(["bc", "abc", "c"], ids_of(b"a", b"bca"))[0].hit == StopHit("abc", 0, 2, 0)


def test_a_stop_string_whose_characters_are_split_over_tokens_is_found():
    watcher, shown = watch(["\u00e9a"], ids_of(b"x", b"\xc3", b"\xa9a"))
    assert watcher.hit == StopHit("\u00e9a", 1, 3, 1)
    assert shown == "x"


def test_nothing_is_shown_that_a_stop_string_could_still_cut_off():
    watcher = StopStrings(["\n\nUser"], PIECES)
    shown = []
    for token in ids_of(b"a", b"\n", b"\n\nU", b"s", b"e", b"x"):
        assert watcher.feed(token) is None
        shown.append(watcher.ready())
    assert shown == ["a", "", "\n", "", "", "\n\nUsex"]


def test_half_a_character_is_not_shown_until_it_is_whole_or_the_answer_is_over():
    watcher = StopStrings(["z"], PIECES)
    watcher.feed(PIECES.index(b"\xf0"))
    assert watcher.ready() == ""
    for byte in "\U0001f600".encode()[1:]:
        watcher.feed(byte)
    assert watcher.ready() == "\U0001f600"
    watcher.feed(0xC3)
    assert watcher.ready() == ""
    assert watcher.rest() == "\ufffd"


def test_ids_beyond_the_vocabulary_and_special_ids_spell_nothing():
    assert watch(["ab"], [*ids_of(b"a", b""), 10_000, *ids_of(b"b")])[0].hit == StopHit("ab", 0, 4, 0)


letters = st.lists(st.sampled_from("ab\u00e9\u00e8"), max_size=4).map("".join)


@given(st.lists(letters.filter(bool), max_size=5), st.lists(letters.map(str.encode), max_size=12), st.randoms())
def test_the_end_is_that_of_a_search_through_the_whole_text_however_it_is_cut(stops, words, random):
    text = b"".join(words)
    cuts = sorted(random.sample(range(len(text) + 1), k=min(len(text), 5)))
    tokens = [text[left:right] for left, right in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    watcher, shown, fed = StopStrings(stops, tokens), "", 0
    for token in range(len(tokens)):
        watcher.feed(token)
        fed += 1
        shown += watcher.ready()
        if watcher.hit:
            break
    shown += watcher.rest()
    wanted = naive(stops, text)
    if wanted is None:
        assert watcher.hit is None
        assert shown == text.decode()
        return
    stop, start = wanted
    ends = np.cumsum([len(token) for token in tokens])
    complete = start + len(stop.encode())
    assert watcher.hit == StopHit(stop, start, int(np.searchsorted(ends, complete)) + 1, int((ends[:fed] <= start).sum()))
    assert shown == text[:start].decode()


@given(st.lists(letters.filter(bool), max_size=3), st.lists(st.integers(0, len(PIECES) - 1), max_size=30))
def test_what_is_shown_of_any_bytes_is_what_they_decode_to(stops, ids):
    watcher, shown = watch(stops, ids)
    text = b"".join(PIECES[token] for token in ids)
    end = len(text) if watcher.hit is None else watcher.hit.num_bytes
    assert shown == text[:end].decode(errors="replace")


@settings(max_examples=30)
@given(st.lists(letters.filter(bool), min_size=1, max_size=3), st.lists(st.sampled_from(range(97, 260)), max_size=20))
def test_what_was_shown_is_never_taken_back(stops, ids):
    watcher, shown = StopStrings(stops, PIECES), ""
    for count, token in enumerate(ids, start=1):
        watcher.feed(token)
        shown += watcher.ready()
        for more in stops:  # whatever stop string comes next
            whole = b"".join(PIECES[one] for one in ids[:count]) + more.encode()
            found = naive(stops, whole)
            assert found is not None
            assert whole[: found[1]].decode(errors="replace").startswith(shown)
        if watcher.hit:
            return


@pytest.mark.parametrize("stops", [[""], ["a", ""], [b"a"], "abc", ["\ud800"]])
def test_what_is_no_stop_string_is_refused(stops):
    with pytest.raises(UsageError, match="stop strings"):
        StopStrings(stops, PIECES)


def test_an_answer_that_is_over_is_not_read_on():
    watcher, _ = watch(["a"], ids_of(b"a"))
    with pytest.raises(AssertionError, match="over"):
        watcher.feed(97)


class Counted(list):
    """Counts how often it is asked."""

    asked = 0

    def __getitem__(self, at):
        self.asked += 1
        return super().__getitem__(at)


def test_an_adversarial_text_costs_each_byte_a_constant_number_of_steps():
    watcher = StopStrings(["a" * 400 + "b"], PIECES)
    falls = Counted(watcher._automaton.falls)
    watcher._automaton = replace(watcher._automaton, falls=falls)
    text = ("a" * 400 + "c") * 20
    for byte in text.encode():
        watcher.feed(byte)
    assert 8_000 <= falls.asked <= len(text), "a fall undoes an earlier step forward"
