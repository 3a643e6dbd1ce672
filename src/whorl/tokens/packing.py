"""tokens/packing: which tokens of which documents fill which row, in every epoch.

A document of n tokens is cut into n // width full pieces and one rest; a full piece is a row, and rests are put into rows by
best fit, longest first. Pieces share no input; the target of a piece's last input is the first input of the next, so every
target is trained exactly once and no document is truncated.

How best fit fills rows depends on the *lengths* alone. So the shape of all epochs is packed once, in time and memory linear in
the number of documents, which makes the number of rows the same in every epoch (a step's epoch is a division). An epoch is then
one 64-bit key: which document takes which place of its length, where in a long document the rest lies (other cuts in every
epoch), and the order of rows are keyed shuffles (tokens/shuffle), computed for the rows asked for and no others, in either
direction. Neighbours thus change from epoch to epoch, and a row of the thousandth epoch costs what a row of the first costs.
Does not read tokens.
Best fit for language models: https://arxiv.org/abs/2404.10830.
"""

from typing import Final, NamedTuple

import numpy as np

from whorl.core.kernels import kernel
from whorl.tokens.shuffle import drawn_below, mixed, place_of, shuffled

__all__ = ["Pieces", "Plan", "best_fit"]

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]

_WORD = np.int64(64)  # rows wait under one bit per free room, in words of this many
_OF_ROWS, _OF_CUTS, _OF_SLOTS = np.uint64(1 << 40), np.uint64(2 << 40), np.uint64(3 << 40)  # three shuffles from one key


class Pieces(NamedTuple):
    """Tokens `start` to `start + length` of documents, row after row: row i holds pieces `first[i]` to `first[i + 1]`."""

    first: np.ndarray  # int64, one more than rows
    document: np.ndarray  # int64, as the next two
    start: np.ndarray
    length: np.ndarray

    def padded(self, rows: int) -> "Pieces":
        """With empty rows after these, up to `rows`."""
        missing = rows + 1 - len(self.first)
        return self._replace(first=np.concatenate([self.first, np.repeat(self.first[-1:], missing)])) if missing else self


class _Shape(NamedTuple):
    """What all epochs share. A slot is the place of a rest; slots are numbered longest first."""

    width: int
    num_rows: int
    lengths: np.ndarray  # by document
    first_full: np.ndarray  # by document, and one more: its first full piece, which is the number of a row
    longer: np.ndarray  # by length of rest: how many slots are longer
    slot_document: np.ndarray  # by slot: who takes it before anything is shuffled; ascending among equal lengths
    slot_row: np.ndarray  # by slot: which row of rests
    row_slots: np.ndarray  # slots, row of rests after row of rests
    row_first: np.ndarray  # by row of rests, and one more: where its slots begin in `row_slots`


def best_fit(lengths: np.ndarray, width: int) -> np.ndarray:
    """The row of each length: where it fits with least room left, else a new row. Lengths are descending, 1 to width.

    Tens of nanoseconds a piece: rows wait in stacks by free room, and a bit set finds the tightest one.
    """
    row_of = np.empty(len(lengths), _narrow(len(lengths)))
    _best_fit(lengths, width, row_of)
    return row_of


class Plan:
    """The shape of every epoch over documents of given lengths. Rows 0 to `num_full` hold one full piece each."""

    def __init__(self, lengths: np.ndarray, width: int) -> None:
        """`lengths` in tokens, by document number; a document of 0 tokens takes no place. Takes about 40 bytes a document."""
        lengths = np.ascontiguousarray(lengths, dtype=np.int64)
        kept = _narrow(len(lengths))
        first_full = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths // width, out=first_full[1:])
        rests, longer = lengths % width, np.zeros(width, np.int64)
        slot_document = np.empty(np.count_nonzero(rests), kept)
        _sort_rests(rests, longer, slot_document)
        slot_row = best_fit(rests[slot_document], width)
        num_packed = int(slot_row.max(initial=-1)) + 1
        row_slots, row_first = np.empty(len(slot_row), kept), np.zeros(num_packed + 1, np.int64)
        _sort_slots(slot_row, row_first, row_slots)
        self.width: Final = width
        self.num_full: Final = int(first_full[-1])
        self.num_rows: Final = self.num_full + num_packed
        self._most = max(1, int(np.diff(row_first).max(initial=1)))  # pieces in a row
        self._shape = _Shape(width, self.num_rows, lengths, first_full, longer, slot_document, slot_row, row_slots, row_first)

    def pieces(self, places: np.ndarray, keys: np.ndarray) -> Pieces:
        """The pieces of the rows at some places (int64) of epochs, each given by its key (uint64), left to right.

        About 0.1 microseconds a piece, whichever place and epoch.
        """
        first, columns = np.zeros(len(places) + 1, np.int64), np.empty((3, len(places) * self._most), np.int64)
        num_pieces = _pieces(self._shape, places, keys, (first, columns))
        return Pieces(first, *columns[:, :num_pieces])

    def places_of(self, document: int, key: int) -> Ints:
        """The places of all rows of an epoch that hold some of this document, ascending; as quick as reading them."""
        length = int(self._shape.lengths[document])
        places = np.empty(length // self.width + (length % self.width > 0), np.int64)
        _places_of(self._shape, document, np.uint64(key), places)
        return np.sort(places)


def _narrow(count: int) -> type[np.signedinteger]:
    return np.int32 if count < 1 << 31 else np.int64


@kernel()
def _sort_rests(rests, longer, slot_document):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Documents with a rest, longest first, then by number; and for every length how many are longer."""
    width = len(longer)
    for length in rests:
        if length > 1:
            longer[length - 1] += 1
    for length in range(width - 2, 0, -1):
        longer[length] += longer[length + 1]
    longer[0] = len(slot_document)
    slots = longer.copy()
    for document in range(len(rests)):
        length = rests[document]
        if length:
            slot_document[slots[length]] = document
            slots[length] += 1


@kernel()
def _sort_slots(slot_row, row_first, row_slots):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Slots by row, in each row longest first."""
    for row in slot_row:
        row_first[row + 1] += 1
    for row in range(len(row_first) - 1):
        row_first[row + 1] += row_first[row]
    free = row_first[:-1].copy()
    for slot in range(len(slot_row)):
        row = slot_row[slot]
        row_slots[free[row]] = slot
        free[row] += 1


@kernel()
def _best_fit(lengths, width, row_of):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    top = np.full(width + 1, -1, np.int64)  # by free room: the row that came to wait last
    below = np.empty(len(lengths), row_of.dtype)  # by row: who waits under it
    rooms = np.zeros(width // _WORD + 1, np.uint64)  # bit f is set when some row has f places free
    num_rows = 0
    for number in range(len(lengths)):
        length = lengths[number]
        free = _tightest(rooms, length)
        if free < 0:
            free, row = width, num_rows
            num_rows += 1
        else:
            row = top[free]
            top[free] = below[row]
            if top[free] < 0:
                rooms[free // _WORD] ^= np.uint64(1) << np.uint64(free % _WORD)
        row_of[number] = row
        free -= length
        if free:
            below[row], top[free] = top[free], row
            rooms[free // _WORD] |= np.uint64(1) << np.uint64(free % _WORD)


@kernel()
def _tightest(rooms, length):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The lowest set bit from `length` on; -1 when there is none."""
    word = length // _WORD
    bits = rooms[word] >> np.uint64(length % _WORD) << np.uint64(length % _WORD)
    while not bits:
        word += 1
        if word == len(rooms):
            return np.int64(-1)
        bits = rooms[word]
    bit = np.int64(0)
    for half in (32, 16, 8, 4, 2, 1):
        if not bits & ((np.uint64(1) << np.uint64(half)) - np.uint64(1)):
            bits >>= np.uint64(half)
            bit += half
    return np.int64(word * _WORD + bit)


@kernel()
def _pieces(shape: _Shape, places, keys, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Fill the pieces of every row; returns how many there are."""
    first, columns = out
    num_full, n = shape.first_full[-1], 0
    for i in range(len(places)):
        first[i] = n
        row = shuffled(places[i], shape.num_rows, keys[i] ^ _OF_ROWS)
        if row < num_full:
            columns[0, n], columns[1, n], columns[2, n] = _full_piece(shape, row, keys[i])
            n += 1
            continue
        for at in range(shape.row_first[row - num_full], shape.row_first[row - num_full + 1]):
            columns[0, n], columns[1, n], columns[2, n] = _rest_piece(shape, np.int64(shape.row_slots[at]), keys[i])
            n += 1
    first[len(places)] = n
    return n


@kernel()
def _rest_place(shape: _Shape, document, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """How many full pieces of a document come before its rest."""
    return drawn_below(key ^ _OF_CUTS, document, shape.lengths[document] // shape.width + 1)


@kernel()
def _full_piece(shape: _Shape, row, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    document = np.searchsorted(shape.first_full, row, side="right") - 1
    ordinal = row - shape.first_full[document]
    is_after_rest = ordinal >= _rest_place(shape, document, key)
    start = ordinal * shape.width + (shape.lengths[document] % shape.width if is_after_rest else 0)
    return document, start, shape.width


@kernel()
def _rest_piece(shape: _Shape, slot, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    length = shape.lengths[shape.slot_document[slot]] % shape.width
    lowest, num, own_key = _equals(shape, length, key)
    document = np.int64(shape.slot_document[lowest + shuffled(slot - lowest, num, own_key)])
    return document, _rest_place(shape, document, key) * shape.width, length


@kernel()
def _equals(shape: _Shape, length, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The slots of one length: their lowest, how many they are, and the key that shuffles them."""
    lowest = shape.longer[length]
    return lowest, shape.longer[length - 1] - lowest, mixed(key ^ _OF_SLOTS, np.uint64(length))


@kernel()
def _places_of(shape: _Shape, document, key, places):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    num_full, first = shape.lengths[document] // shape.width, shape.first_full[document]
    for n in range(num_full):
        places[n] = place_of(first + n, shape.num_rows, key ^ _OF_ROWS)
    length = shape.lengths[document] % shape.width
    if length:
        lowest, num, own_key = _equals(shape, length, key)
        known = np.searchsorted(shape.slot_document[lowest : lowest + num], document)
        row = shape.first_full[-1] + shape.slot_row[lowest + place_of(known, num, own_key)]
        places[num_full] = place_of(row, shape.num_rows, key ^ _OF_ROWS)
