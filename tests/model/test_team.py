"""Loops on torch's own threads, and the arithmetic of bfloat16."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch

from whorl.model import team

pytestmark = pytest.mark.skipif(
    not team.can_run(torch.zeros(1, dtype=torch.bfloat16)), reason="torch runs on other threads here"
)


@team.Loop
def _count(p):
    seen = team.longs(p[4], p[2])
    first, end = team.claimed(p)
    while first < end:
        for row in range(first, end):
            seen[row] += 1 + row
        first, end = team.claimed(p)


@pytest.mark.parametrize(("rows", "chunk", "threads"), [(1, 1, 1), (1000, 7, 2), (1000, 1000, 2), (3, 50, 4), (64, 1, 3)])
def test_every_row_is_worked_on_exactly_once(rows, chunk, threads):
    torch.set_num_threads(threads)
    seen = torch.zeros(rows, dtype=torch.int64)
    _count.run(rows, chunk, seen)
    torch.set_num_threads(1)
    assert torch.equal(seen, 1 + torch.arange(rows))


@numba.njit
def _narrowed(values, out):
    for i in range(len(values)):
        out[i] = team.narrow(values[i])


def test_rounding_is_torchs_for_every_kind_of_number():
    draw = np.random.default_rng(0)
    values = draw.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    values = np.concatenate([values, np.array([0.0, -0.0, np.inf, -np.inf, 1 + 2**-8, 1 + 3 * 2**-8], np.float32)])
    out = np.empty(len(values), np.uint16)
    _narrowed(values, out)
    found, wanted = torch.from_numpy(out.view(np.int16)).view(torch.bfloat16), torch.from_numpy(values).bfloat16()
    assert torch.equal(found.isnan(), wanted.isnan())
    assert torch.equal(found[~found.isnan()], wanted[~wanted.isnan()])


@numba.njit
def _rounded(values, out):
    for i in range(len(values)):
        out[i] = team.rounded(values[i])


def test_rounding_by_the_processor_differs_only_in_numbers_that_have_no_leading_one():
    values = np.random.default_rng(1).integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    by_hand, by_unit = (np.empty(len(values), np.uint16) for _ in range(2))
    _narrowed(values, by_hand)
    _rounded(values, by_unit)
    is_number, is_tiny = ~np.isnan(values), np.abs(values) < np.float32(2.0**-126)
    assert (by_hand == by_unit)[is_number & ~is_tiny].all()
    assert ((by_unit & 0x7FFF)[is_tiny] <= 0x80).all()
    assert ((by_unit & 0x7FFF)[~is_number] > 0x7F80).all()


@numba.njit
def _raised(values, out):
    for i in range(len(values)):
        out[i] = team.exponential(values[i])


def test_the_exponential_is_right_to_a_few_units_of_float32():
    values = np.linspace(-86, 88, 100_001, dtype=np.float32)
    out = np.empty_like(values)
    _raised(values, out)
    exact = np.exp(values.astype(np.float64))
    assert np.abs(out / exact - 1).max() < 1e-5  # x / ln 2 is rounded to float32 first: 2^-24 of 127


def test_the_exponential_of_what_is_no_number_is_none_and_far_below_zero_it_vanishes():
    values = np.array([np.nan, -1e30, -np.inf, 0.0], np.float32)
    out = np.empty_like(values)
    _raised(values, out)
    assert np.isnan(out[0])
    assert (out[1:3] < 1e-36).all()
    assert out[3] == 1.0


@numba.njit
def _decayed(values, out):
    for i in range(len(values)):
        out[i] = team.decay(values[i])


def test_decay_is_the_exponential_of_what_is_not_above_zero():
    values = np.concatenate([np.linspace(-86, 0, 100_001, dtype=np.float32), np.float32([np.nan, -1e30, -np.inf, -0.0])])
    out = np.empty_like(values)
    _decayed(values, out)
    assert np.abs(out[:100_001] / np.exp(values[:100_001].astype(np.float64)) - 1).max() < 1e-5  # as of the exponential
    assert np.isnan(out[-4])
    assert (out[-3:-1] < 1e-36).all()
    assert out[-1] == out[100_000] == 1.0


@numba.njit
def _ordered(words, out):
    for i in range(len(words)):
        out[i] = team.sortable(words[i])


def test_sortable_integers_are_in_the_order_of_their_floats_and_lead_back_to_them():
    values = np.array([np.nan, -np.inf, -3.5, -3.25, -1e-40, -0.0, 0.0, 1e-40, 2.0, 2.5, np.inf], np.float32)
    keys, words = np.empty(len(values), np.int32), np.empty(len(values), np.int32)
    _ordered(values.view(np.int32), keys)
    assert keys.argsort().tolist() == [*range(1, len(values)), 0]  # what is no number above all
    _ordered(keys, words)
    assert np.array_equal(words, values.view(np.int32))


# A digest of every loss and slope that the compiled loss gives; a row is long enough for its sums to have an order.
DIGEST = """
import hashlib, torch
from whorl.model.fused import cross_entropy_
logits = (4 * torch.randn(37, 611, generator=torch.Generator().manual_seed(0))).bfloat16()
losses = cross_entropy_(logits, torch.arange(37))
print(hashlib.sha256(losses.numpy().tobytes() + logits.view(torch.int16).numpy().tobytes()).hexdigest())
"""


def test_the_run_that_compiles_a_loop_gets_the_bits_of_the_runs_after_it(tmp_path):
    def said():
        surroundings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        asked = [sys.executable, "-c", DIGEST]
        return subprocess.run(asked, env=surroundings, capture_output=True, text=True, check=True).stdout

    first = said()
    assert len(first.strip()) == 64
    assert first == said()
