"""Formats of packed matrices: their numbers by definition, their products against what they say they multiply with."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.model.fours import BLOCK, four_bit_rows, in_groups, widened_rows
from whorl.model.packs import pack_matrix, unfit
from whorl.model.team import can_run

BF16, F32 = torch.bfloat16, torch.float32
pytestmark = pytest.mark.skipif(not can_run(), reason="torch runs on other threads here")
FORMATS = ["fp32", "bf16", "int8", "int4"]


def drawn(*shape, dtype=F32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("dtype", [BF16, F32])
@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 70), o=st.integers(1, 40), i=st.integers(BLOCK, 300), seed=st.integers(0, 99))
def test_a_product_is_that_of_the_matrix_it_says_it_is(form, dtype, n, o, i, seed):
    x, bias = drawn(n, i, dtype=dtype, seed=seed), drawn(o, seed=seed + 1)
    pack = pack_matrix(drawn(o, i, seed=seed + 2), bias, form)
    exact = x.double() @ pack.widened().double().T + bias.double()
    size = x.double().abs() @ pack.widened().double().abs().T + 1
    assert ((pack(x, out_dtype=F32) - exact).abs() <= 2.0**-21 * size).all()
    # Many rows in bfloat16 are torch's: the matrix, the sum and what is added to it are rounded.
    assert ((pack(x, out_dtype=dtype) - exact).abs() <= (3 * 2.0**-8 if dtype is BF16 else 2.0**-18) * size).all()


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_has_the_same_bytes_alone_and_among_sixteen(form):
    pack, x = pack_matrix(drawn(50, 200), None, form), drawn(16, 200, dtype=BF16, seed=1)
    together = pack(x, out_dtype=BF16)
    for row in range(16):
        assert torch.equal(pack(x[row : row + 1], out_dtype=BF16)[0], together[row])


def test_in_float32_a_row_has_the_same_bytes_among_any_number():
    pack, x = pack_matrix(drawn(50, 200), drawn(50), "fp32"), drawn(300, 200, seed=1)
    together = pack(x, out_dtype=F32)
    for row in (0, 63, 64, 299):
        assert torch.equal(pack(x[row : row + 1], out_dtype=F32)[0], together[row])
    assert torch.equal(pack(x[17:100], out_dtype=F32), together[17:100])


def test_int8_rounds_to_the_nearest_of_255_even_steps_to_the_largest_of_the_row():
    weight = torch.tensor([[127.0, 1.4, -1.6, 0.5], [-2.54, 0.01, 0.0, 1.0]])
    found = pack_matrix(weight, None, "int8").widened()
    torch.testing.assert_close(found, torch.tensor([[127.0, 1.0, -2.0, 0.0], [-2.54, 0.0, 0.0, 1.0]]), atol=1e-6, rtol=0)
    wide = drawn(20, 300)
    scale = wide.abs().amax(dim=1, keepdim=True) / 127
    assert ((pack_matrix(wide, None, "int8").widened() - wide).abs() <= scale / 2 * (1 + 1e-5)).all()


def test_int4_rounds_to_sixteen_even_steps_from_the_least_to_the_greatest_of_a_group():
    weight = torch.zeros(1, BLOCK)
    first, second = ([at + 8 * group for at in range(BLOCK) if at % 32 < 8] for group in (0, 1))  # eight of every 32
    weight[0, first] = torch.arange(32.0) % 16 - 3  # 16 whole numbers, each its own level
    weight[0, second] = torch.linspace(0, 30, 32)  # steps of 2
    found = widened_rows(four_bit_rows(weight), (1, BLOCK), F32)
    assert torch.equal(found[0, first], weight[0, first])
    assert ((found - weight)[0, second].abs() <= 1.0).all()
    others = [at for at in range(BLOCK) if at % 32 >= 16]
    assert (found[0, others] == 0).all()


def test_int4_errs_no_more_than_its_formula_in_float32():
    weight = drawn(200, 512)
    groups = in_groups(weight)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = (high - low) / 15
    formula = ((groups - low) / scale).round() * scale + low
    ours = in_groups(pack_matrix(weight, None, "int4").widened())
    assert (ours - groups).square().mean() <= 1.02**2 * (formula - groups).square().mean()


@pytest.mark.parametrize("i", [128, 130, 159, 161, 511, 640])
@pytest.mark.parametrize("o", [3, 4, 9])
def test_rows_of_any_length_come_back_from_four_bits(o, i):
    weight = drawn(o, i)
    wide, narrow = (widened_rows(four_bit_rows(weight), (o, i), dtype) for dtype in (F32, BF16))
    groups, held = in_groups(weight), in_groups(torch.ones(1, i)) > 0
    spread = groups.where(held, -9).amax(-1, keepdim=True) - groups.where(held, 9).amin(-1, keepdim=True)
    off = (in_groups(wide) - groups).abs()
    assert (off <= spread.clamp(min=0) / 15 * 0.51 + 0.02)[held.expand_as(off)].all()
    assert torch.equal(wide.to(BF16), narrow)


@pytest.mark.parametrize("form", FORMATS)
def test_a_matrix_of_zeros_stays_one(form):
    pack = pack_matrix(torch.zeros(5, BLOCK), None, form)
    assert (pack.widened() == 0).all()
    assert (pack(torch.ones(2, BLOCK), out_dtype=F32) == 0).all()


def test_bytes_fall_with_the_format():
    sizes = [pack_matrix(drawn(64, 768), None, form).size_bytes for form in FORMATS]
    assert sizes == [64 * 768 * 4, 64 * 768 * 2, 64 * 768 + 64 * 4, 64 * (768 // 2 + 24 * 2 * 2)]


def test_eight_bit_floats_hold_a_row_to_a_sixteenth():
    weight = drawn(32, 64)
    pack = pack_matrix(weight, None, "fp8")  # packs anywhere; multiplies on a GPU
    assert ((pack.widened() - weight).abs() <= weight.abs() / 16 + weight.abs().amax(1, keepdim=True) / 448 / 64).all()


def test_what_a_format_does_not_take_is_said():
    assert "fp8 wants multiples of 16" in unfit(torch.zeros(16, 24), "fp8")
    assert "int4 wants 128 or more" in unfit(torch.zeros(16, 64), "int4")
    assert not unfit(torch.zeros(7, 13), "int8")
    assert not unfit(torch.zeros(7, 13), "bf16")
