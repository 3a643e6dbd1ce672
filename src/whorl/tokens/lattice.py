"""tokens/lattice: compiled walks over the ways to cut words into pieces: counts, expectations, best paths, losses.

Words lie one after another in one array of bytes; a piece is found by the hash of its bytes, which grows byte by byte. Two
different substrings with the same 64-bit hash would be counted as one; among 100 million the chance of any is 3 in 10,000,
and it would be the same on every run. Knows nothing of text or files; tokens/unigram learns with it.
"""

import numpy as np

from whorl.core.kernels import kernel

__all__ = [
    "LENGTH_BITS",
    "LONGEST",
    "LONGEST_WORD",
    "START",
    "count_substrings",
    "expect",
    "fill",
    "grown",
    "losses_without",
    "use_best_paths",
]

LONGEST = 24  # bytes of a piece
LONGEST_WORD = 256  # bytes; bounds what one word needs
LENGTH_BITS = 5  # of a packed place: the low bits are the length of the substring that begins there

START = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_NOTHING = np.uint64(0)
_NEVER = -1e300  # less likely than any path; no infinities, which would make differences undefined


@kernel()
def grown(code, letter):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """The hash of a string of bytes and one byte more (FNV-1a)."""
    return (code ^ np.uint64(letter)) * _PRIME


@kernel()
def _slot(keys, code):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Where a hash is in an open table, or the empty place for it."""
    last = np.uint64(len(keys) - 1)
    slot = (code ^ (code >> _HALF)) & last
    while keys[slot] != code and keys[slot] != _NOTHING:
        slot = (slot + _ONE) & last
    return slot


@kernel()
def fill(keys, values, hashes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Enter hash i under the value i."""
    for i in range(len(hashes)):
        slot = _slot(keys, hashes[i])
        keys[slot] = hashes[i]
        values[slot] = i


@kernel()
def _is_inside(data, i, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Whether byte i lies inside a character, so that no substring may begin or end before it."""
    return i < stop and (data[i] & 0xC0) == 0x80


@kernel()
def count_substrings(words, number, passes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Substrings of two bytes and more, of whole characters, whose hash falls to this pass.

    Returns hash, count, and place with length of one occurrence, packed.
    """
    data, starts, counts = words
    room = 1 << 14
    keys, totals, places = np.zeros(room, np.uint64), np.zeros(room, np.int64), np.zeros(room, np.int64)
    taken = 0
    for w in range(len(starts) - 1):
        if 2 * (taken + LONGEST_WORD * LONGEST) > room:
            room, keys, totals, places = _doubled(keys, totals, places)
        stop = starts[w + 1]
        for i in range(starts[w], stop):
            if not _is_inside(data, i, stop):
                taken += _count_from(data, i, stop, counts[w], (number, passes), (keys, totals, places))
    some = np.flatnonzero(totals)
    return keys[some], totals[some], places[some]


@kernel()
def _count_from(data, i, stop, count, share, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Count the substrings that begin at byte i; returns how many of them are new."""
    number, passes = share
    keys, totals, places = table
    taken = 0
    code = grown(START, data[i])
    for j in range(i + 1, min(stop, i + LONGEST)):
        code = grown(code, data[j])
        if _is_inside(data, j + 1, stop) or code % np.uint64(passes) != np.uint64(number):
            continue
        slot = _slot(keys, code)
        if keys[slot] == _NOTHING:
            taken += 1
            keys[slot] = code
            places[slot] = (i << LENGTH_BITS) | (j + 1 - i)
        totals[slot] += count
    return taken


@kernel()
def _doubled(keys, totals, places):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    room = 2 * len(keys)
    new_keys, new_totals, new_places = np.zeros(room, np.uint64), np.zeros(room, np.int64), np.zeros(room, np.int64)
    for old in range(len(keys)):
        if keys[old] != _NOTHING:
            slot = _slot(new_keys, keys[old])
            new_keys[slot], new_totals[slot], new_places[slot] = keys[old], totals[old], places[old]
    return room, new_keys, new_totals, new_places


@kernel()
def _edges(word, keys, values, edges):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Every piece in a word as (begin, end, number), by begin and then by end; returns how many."""
    begins, ends, numbers = edges
    found = 0
    for i in range(len(word)):
        code = START
        for j in range(i, min(len(word), i + LONGEST)):
            code = grown(code, word[j])
            number = values[_slot(keys, code)]
            if number >= 0:
                begins[found], ends[found], numbers[found] = i, j + 1, number
                found += 1
    return found


@kernel()
def _room():  # type: ignore[no-untyped-def]  # noqa: ANN202 - compiled
    most = LONGEST_WORD * LONGEST
    return np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)


@kernel()
def _log_sum(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    high, low = max(a, b), min(a, b)
    return high if high - low > 50.0 else high + np.log1p(np.exp(low - high))


@kernel()
def expect(words, keys, values, scores, expected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Add to `expected` how often each piece is used on average over all ways to cut the words (forward, backward)."""
    data, starts, counts = words
    edges = _room()
    begins, ends, numbers = edges
    before, after = np.empty(LONGEST_WORD + 1), np.empty(LONGEST_WORD + 1)
    for w in range(len(counts)):
        word = data[starts[w] : starts[w + 1]]
        found = _edges(word, keys, values, edges)
        before[: len(word) + 1] = _NEVER
        after[: len(word) + 1] = _NEVER
        before[0] = after[len(word)] = 0.0
        for e in range(found):
            before[ends[e]] = _log_sum(before[ends[e]], before[begins[e]] + scores[numbers[e]])
        for e in range(found - 1, -1, -1):
            after[begins[e]] = _log_sum(after[begins[e]], after[ends[e]] + scores[numbers[e]])
        for e in range(found):
            share = before[begins[e]] + scores[numbers[e]] + after[ends[e]] - before[len(word)]
            expected[numbers[e]] += counts[w] * np.exp(share)


@kernel()
def _best_path(word, keys, values, scores, edges, path):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Numbers of the most probable pieces, last first, into `path`; returns how many.

    The piece that path[0] names on entry is not allowed.
    """
    begins, ends, numbers = edges
    found = _edges(word, keys, values, edges)
    best, through = np.full(len(word) + 1, _NEVER), np.full(len(word) + 1, -1, np.int64)
    best[0] = 0.0
    for e in range(found):
        reached = best[begins[e]] + scores[numbers[e]]
        if numbers[e] != path[0] and reached > best[ends[e]]:
            best[ends[e]], through[ends[e]] = reached, e
    steps, place = 0, len(word)
    while place > 0:
        path[steps] = numbers[through[place]]
        place = begins[through[place]]
        steps += 1
    return steps


@kernel()
def use_best_paths(words, keys, values, scores, uses):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Add to `uses` how often each piece is in the most probable way to cut a word."""
    data, starts, counts = words
    edges, path = _room(), np.empty(LONGEST_WORD, np.int64)
    for w in range(len(counts)):
        path[0] = -1
        for step in range(_best_path(data[starts[w] : starts[w + 1]], keys, values, scores, edges, path)):
            uses[path[step]] += counts[w]


@kernel()
def losses_without(data, keys, values, model, uses):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """By how much the words' log-likelihood falls without a piece, its uses going to its next best cut; bytes are left out.

    Minus infinity for a piece that no best path uses.
    """
    places, lengths, _, scores = model
    edges, path = _room(), np.empty(LONGEST_WORD, np.int64)
    total = uses.sum()
    losses = np.full(len(scores), -np.inf)
    for number in range(len(scores)):
        if lengths[number] == 1 or uses[number] == 0:
            continue
        path[0] = number
        word = data[places[number] : places[number] + lengths[number]]
        steps = _best_path(word, keys, values, scores, edges, path)
        other = -steps * np.log(total + uses[number] * (steps - 1))
        for step in range(steps):
            other += np.log(uses[path[step]] + uses[number])
        losses[number] = uses[number] * (np.log(uses[number]) - np.log(total) - other)
    return losses
