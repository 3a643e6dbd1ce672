"""tokens/shuffle: a keyed shuffle of 0..n-1 that is computed one number at a time, in either direction.

What stands at place p, and where number x stands, each cost a few dozen multiplications whatever n is: nothing is drawn in
advance, nothing is kept, and any place can be asked for first. Up to sixteen numbers are ranked by a hash each; more go through
eight rounds of a Feistel network over the next power of two, again until the result falls below n (less than two times on
average). For order, not for secrets.

Feistel networks as shuffles of any size ("cycle walking"): https://web.cs.ucdavis.edu/~rogaway/papers/subset.pdf.
"""

import numpy as np

from whorl.core.kernels import kernel

__all__ = ["drawn_below", "mixed", "place_of", "shuffled"]

_ROUNDS = 8  # even and odd rounds change one half each
_RANKED = 16  # with fewer numbers, the halves of a Feistel network are too small to mix well
_ODD = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_ONE, _27, _30, _31, _32 = (np.uint64(bits) for bits in (1, 27, 30, 31, 32))


@kernel()
def mixed(key, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """64 bits that depend on all bits of both (uint64): the finaliser of splitmix64."""
    x = key + _ODD * (number + _ONE)
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


@kernel()
def drawn_below(key, number, bound):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """A number from 0 to `bound - 1` (below 2**32), the same for the same key and number."""
    return np.int64(((mixed(key, np.uint64(number)) >> _32) * np.uint64(bound)) >> _32)


@kernel()
def shuffled(place, num, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """The number (int64) at a place of the shuffled 0..num-1."""
    if num > _RANKED:
        return _walk(place, num, key, 1)
    for number in range(num):
        if _rank(number, num, key) == place:
            return np.int64(number)
    return np.int64(-1)


@kernel()
def place_of(number, num, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Where a number stands: `shuffled(place_of(x, num, key), num, key) == x`."""
    return _walk(number, num, key, -1) if num > _RANKED else _rank(number, num, key)


@kernel()
def _rank(number, num, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    own, rank = mixed(key, np.uint64(number)), np.int64(0)
    for other in range(num):
        drawn = mixed(key, np.uint64(other))
        rank += drawn < own or (drawn == own and other < number)
    return rank


@kernel()
def _walk(number, num, key, direction):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    bits = 1
    while np.int64(1) << bits < num:
        bits += 1
    low_bits = np.uint64(bits // 2)
    low_mask = (_ONE << low_bits) - _ONE
    high_mask = (_ONE << np.uint64(bits - bits // 2)) - _ONE
    first = 0 if direction > 0 else _ROUNDS - 1
    while True:
        low, high = np.uint64(number) & low_mask, np.uint64(number) >> low_bits
        for n in range(_ROUNDS):
            turn = np.uint64(first + direction * n)
            if turn & _ONE:
                high ^= mixed(key ^ (turn << _32), low) & high_mask
            else:
                low ^= mixed(key ^ (turn << _32), high) & low_mask
        number = np.int64((high << low_bits) | low)
        if number < num:
            return number
