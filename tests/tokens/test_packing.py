from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.seed import Seed
from whorl.tokens.packing import Plan, best_fit


class Piece(NamedTuple):
    document: int
    start: int
    length: int


def slow_best_fit(lengths, width):
    """The definition, by looking at every row."""
    room, placed = [], []
    for length in lengths:
        fitting = [(free, row) for row, free in enumerate(room) if free >= length]
        if not fitting:
            room.append(width)
        row = min(fitting)[1] if fitting else len(room) - 1
        room[row] -= length
        placed.append(row)
    return room, placed


widths_and_lengths = st.integers(1, 24).flatmap(
    lambda width: st.tuples(st.just(width), st.lists(st.integers(1, width), max_size=40).map(lambda x: sorted(x, reverse=True)))
)


@given(case=widths_and_lengths)
def test_best_fit_leaves_the_room_its_definition_leaves(case):
    width, lengths = case
    rows = best_fit(np.array(lengths, dtype=np.int64), width)
    used = np.bincount(rows, weights=lengths) if lengths else np.array([])
    room, _ = slow_best_fit(lengths, width)
    assert sorted(width - used) == sorted(room), "rows of equal room may be swapped, nothing else"


def test_a_worked_packing():
    # 6 opens row 0 (2 left), 5 row 1 (3 left), 4 row 2 (4 left); 3 fits row 1 exactly, 2 fits row 0 exactly.
    assert best_fit(np.array([6, 5, 4, 3, 2]), 8).tolist() == [0, 1, 2, 1, 0]


documents = st.lists(st.integers(1, 50), min_size=1, max_size=30)


def pieces_of(plan, seed):
    """Per row of an epoch, its pieces as (document, start, length)."""
    pieces = plan.pieces(np.arange(plan.num_rows), np.full(plan.num_rows, seed.number, np.uint64))
    columns = list(zip(pieces.document.tolist(), pieces.start.tolist(), pieces.length.tolist(), strict=True))
    return [[Piece(*one) for one in columns[left:right]] for left, right in pairwise(pieces.first.tolist())]


@given(lengths=documents, width=st.integers(1, 20), seed=st.integers(0, 99))
def test_packing_loses_no_token_and_invents_none(lengths, width, seed):
    rows = pieces_of(Plan(np.array(lengths), width), Seed(seed))
    packed = sorted((p.document, t) for row in rows for p in row for t in range(p.start, p.start + p.length))
    assert packed == [(document, t) for document, length in enumerate(lengths) for t in range(length)]
    assert all(0 < sum(piece.length for piece in row) <= width for row in rows)


@given(lengths=documents, width=st.integers(1, 20), seed=st.integers(0, 99))
def test_every_epoch_has_the_same_number_of_rows_of_the_same_lengths(lengths, width, seed):
    plan = Plan(np.array(lengths), width)
    shapes = [
        sorted(sorted(piece.length for piece in row) for row in pieces_of(plan, Seed(seed).child(f"{epoch}")))
        for epoch in range(3)
    ]
    assert shapes[0] == shapes[1] == shapes[2]


@given(lengths=documents, width=st.integers(1, 20), seed=st.integers(0, 99))
def test_the_places_of_a_document_are_the_rows_that_hold_it(lengths, width, seed):
    plan = Plan(np.array(lengths), width)
    rows = pieces_of(plan, Seed(seed))
    for document in range(len(lengths)):
        held = [n for n, row in enumerate(rows) if any(piece.document == document for piece in row)]
        assert plan.places_of(document, Seed(seed).number).tolist() == held


def test_epochs_change_order_neighbours_and_cuts():
    plan = Plan(np.array([45] * 6 + [4] * 30), 10)
    first, second = (pieces_of(plan, Seed(3).child(name)) for name in ("0", "1"))
    assert first != second
    neighbours = [{frozenset(p.document for p in row) for row in rows if len(row) > 1} for rows in (first, second)]
    assert neighbours[0] != neighbours[1]
    cuts = [{(p.document, p.start) for row in rows for p in row if p.document < 6} for rows in (first, second)]
    assert cuts[0] != cuts[1]


def test_a_document_as_long_as_a_row_is_one_piece():
    assert pieces_of(Plan(np.array([8]), 8), Seed(1)) == [[Piece(0, 0, 8)]]


def test_a_document_of_no_tokens_takes_no_place():
    assert pieces_of(Plan(np.array([0, 3, 0]), 8), Seed(1)) == [[Piece(1, 0, 3)]]
    assert Plan(np.array([], dtype=np.int64), 8).num_rows == 0


@pytest.mark.parametrize("width", [128, 1024, 2048])
def test_lengths_like_those_of_web_pages_fill_rows_to_99_percent(width):
    lengths = np.maximum(3, np.random.default_rng(5).lognormal(6.0, 1.1, size=20_000)).astype(np.int64)
    plan = Plan(lengths, width)
    assert lengths.sum() / (plan.num_rows * width) > 0.99


def test_a_width_of_many_words_of_bits_is_packed_like_its_definition():
    lengths = np.sort(np.random.default_rng(3).integers(1, 300, size=400))[::-1].copy()
    rows = best_fit(lengths, 300)
    room, _ = slow_best_fit(lengths.tolist(), 300)
    assert sorted(300 - np.bincount(rows, weights=lengths)) == sorted(room)


def test_every_document_comes_first_about_equally_often():
    # 10 documents of one length, two to a row: each leads the first row of 2,000 epochs 200 times, give or take.
    plan = Plan(np.full(10, 4), 8)
    first = [pieces_of(plan, Seed(1).child(str(epoch)))[0][0].document for epoch in range(2000)]
    counts = np.bincount(first, minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 30  # chi-squared of 9 degrees: 27.9 at one in a thousand
