"""tokens/packing: which tokens of which documents fill which row, in every epoch.

A document of n tokens is cut into n // width full pieces and one rest; a full piece is a row, and rests are put into rows by
best fit, longest first. Pieces share no input; the target of a piece's last input is the first input of the next, so every
target is trained exactly once and no document is truncated.

How best fit fills rows depends on the *lengths* alone. So the shape of all epochs is packed once, which makes the number of
rows the same in every epoch (a step's epoch is a division), and each epoch draws which document takes which place of its
length, where in a long document the rest lies (other cuts in every epoch), and the order of rows. Neighbours thus change
from epoch to epoch at the cost of three shuffles. Does not read tokens.
Best fit for language models: https://arxiv.org/abs/2404.10830.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from whorl.core.seed import Seed

__all__ = ["Epoch", "Piece", "Plan", "best_fit"]

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


class Piece(NamedTuple):
    """Tokens `start` to `start + length` of a document."""

    document: int
    start: int
    length: int


def best_fit(lengths: Ints, width: int) -> Ints:
    """The row of each length: where it fits with least room left, else a new row. Lengths are descending, 1 to width.

    About a microsecond a piece: rows wait in stacks by free room, and a bit set finds the tightest one.
    """
    row_of = np.empty(len(lengths), dtype=np.int64)
    waiting: list[list[int]] = [[] for _ in range(width + 1)]  # by free room
    rooms = 0  # bit f is set when some row has f places free
    num_rows = 0
    for number, length in enumerate(lengths.tolist()):
        fitting = rooms >> length
        if fitting:
            free = length + (fitting & -fitting).bit_length() - 1
            row = waiting[free].pop()
            if not waiting[free]:
                rooms ^= 1 << free
        else:
            free, row = width, num_rows
            num_rows += 1
        row_of[number] = row
        if free > length:
            waiting[free - length].append(row)
            rooms |= 1 << (free - length)
    return row_of


class Plan:
    """The shape of every epoch over documents of given lengths. Rows 0 to `num_full` hold one full piece each."""

    def __init__(self, lengths: Ints, width: int) -> None:
        """`lengths` in tokens, by document number; a document of 0 tokens takes no place."""
        self.width = width
        self.num_pieces_of, self.rest_of = np.divmod(lengths, width)  # by document: full pieces, tokens of the rest
        self.full_document = np.repeat(np.arange(len(lengths)), self.num_pieces_of)
        self.first_full = np.cumsum(self.num_pieces_of) - self.num_pieces_of  # by document: its first full piece
        self.num_full = len(self.full_document)
        rests = np.flatnonzero(self.rest_of)
        self.slot_document = rests[np.argsort(-self.rest_of[rests], kind="stable")]  # longest first, then by number
        self.slot_length = self.rest_of[self.slot_document]
        self.slot_row = best_fit(self.slot_length, width)
        self._slots = np.argsort(self.slot_row, kind="stable")  # slots row after row
        num_packed = int(self.slot_row.max(initial=-1)) + 1
        self._bounds = np.searchsorted(self.slot_row[self._slots], np.arange(num_packed + 1))
        self.num_rows = self.num_full + num_packed

    def slots(self, packed_row: int) -> Ints:
        """The slots of a row of rests, in the order they lie."""
        return self._slots[self._bounds[packed_row] : self._bounds[packed_row + 1]]

    def epoch(self, seed: Seed) -> "Epoch":
        """One pass over every document, drawn from `seed`."""
        generator = seed.generator()
        shuffled = generator.permutation(len(self.slot_document))
        within_lengths = np.argsort(-self.slot_length[shuffled], kind="stable")
        return Epoch(
            plan=self,
            slot_document=self.slot_document[shuffled[within_lengths]],
            rest_place=generator.integers(0, self.num_pieces_of + 1),
            row_order=generator.permutation(self.num_rows),
        )


@dataclass(frozen=True)
class Epoch:
    """One pass: which document takes which slot, how long ones are cut, in which order rows come."""

    plan: Plan
    slot_document: Ints
    rest_place: Ints  # by document: how many full pieces come before the rest
    row_order: Ints

    def row(self, place: int) -> list[Piece]:
        """The pieces of the row at this place of the epoch, left to right."""
        row = int(self.row_order[place])
        if row < self.plan.num_full:
            return [self._full_piece(row)]
        return [self._rest_piece(slot) for slot in self.plan.slots(row - self.plan.num_full).tolist()]

    def places_of(self, document: int) -> Iterator[int]:
        """The places of all rows that hold some of this document, ascending."""
        first = self.plan.first_full[document]
        rows = list(range(first, first + self.plan.num_pieces_of[document]))
        rows += (self.plan.num_full + self.plan.slot_row[self.slot_document == document]).tolist()
        yield from np.flatnonzero(np.isin(self.row_order, rows)).tolist()

    def _full_piece(self, number: int) -> Piece:
        plan, document = self.plan, int(self.plan.full_document[number])
        ordinal = number - int(plan.first_full[document])
        is_after_rest = ordinal >= self.rest_place[document]
        start = ordinal * plan.width + (int(plan.rest_of[document]) if is_after_rest else 0)
        return Piece(document, start, plan.width)

    def _rest_piece(self, slot: int) -> Piece:
        document = int(self.slot_document[slot])
        return Piece(document, int(self.rest_place[document]) * self.plan.width, int(self.plan.slot_length[slot]))
