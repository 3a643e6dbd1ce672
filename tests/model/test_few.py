"""Products of a few rows: exact sums, the same bytes in any company and on any number of threads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.model import few
from whorl.model.few import FEW, Few, Stored, few_product
from whorl.model.team import can_run

BF16, F32 = torch.bfloat16, torch.float32
PAIRS = [(BF16, BF16), (F32, BF16), (F32, F32)]  # vectors, matrix
runs_loops = pytest.mark.skipif(not can_run(), reason="torch runs on other threads here")


def drawn(*shape, dtype=F32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_exact(found, x, weight, bias=None):
    """Within the roundings of a float32 sum."""
    exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    size = x.double().abs() @ weight.double().abs().T + 1
    assert ((found - exact).abs() <= 2.0**-22 * size).all()


@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS)
@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 17), i=st.integers(1, 200), o=st.integers(1, 150), seed=st.integers(0, 99))
def test_products_are_exact_sums_rounded_once(x_dtype, w_dtype, n, i, o, seed):
    x, weight, bias = drawn(n, i, dtype=x_dtype, seed=seed), drawn(o, i, dtype=w_dtype, seed=seed + 1), drawn(o, seed=seed + 2)
    found = few_product(x, weight, bias=bias, out_dtype=F32)
    assert_exact(found, x, weight, bias)
    assert torch.equal(few_product(x, weight, bias=bias, out_dtype=BF16), found.to(BF16))


def test_a_hand_worked_product():
    x, weight = torch.tensor([[1.0, 2.0, -3.0]], dtype=BF16), torch.tensor([[4.0, 0.5, 1.0], [0.0, 1.0, 1.0]], dtype=BF16)
    assert few_product(x, weight, bias=torch.tensor([0.25, 0.0]), out_dtype=F32).tolist() == [[2.25, -1.0]]


@runs_loops
@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS)
def test_a_row_has_the_same_bytes_alone_and_in_company_on_any_number_of_threads(x_dtype, w_dtype):
    x, weight = drawn(FEW + 5, 300, dtype=x_dtype), drawn(1001, 300, dtype=w_dtype, seed=1)
    together = few_product(x, weight, out_dtype=F32)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        assert torch.equal(few_product(x, weight, out_dtype=F32), together)
        for count in (1, 2, 3, 5, 8):
            assert torch.equal(few_product(x[4 : 4 + count], weight, out_dtype=F32), together[4 : 4 + count])
    torch.set_num_threads(1)


@runs_loops
def test_a_prepared_product_takes_any_shape_before_the_last():
    x, weight = drawn(2, 3, 40, dtype=BF16), drawn(9, 40, dtype=BF16, seed=1)
    found = Few(Stored(weight, (len(weight), 40)), out_dtype=BF16)(x.transpose(0, 1))
    assert found.shape == (3, 2, 9)
    assert torch.equal(found.transpose(0, 1).flatten(0, 1), few_product(x.flatten(0, 1), weight, out_dtype=BF16))


@runs_loops
def test_a_number_that_is_none_stays_in_its_row():
    x = drawn(3, 64, dtype=BF16)
    x[1, 5] = float("nan")
    found = few_product(x, drawn(8, 64, dtype=BF16, seed=1), out_dtype=F32)
    assert found.isfinite().all(-1).tolist() == [True, False, True]


def test_without_loops_torch_gives_the_same_numbers(monkeypatch):
    x, weight, bias = drawn(3, 50, dtype=BF16), drawn(7, 50, dtype=BF16, seed=1), drawn(7, seed=2)
    monkeypatch.setattr(few, "can_run", lambda *_: False)
    assert not few.can_take(weight)
    assert_exact(few_product(x, weight, bias=bias, out_dtype=F32), x, weight, bias)
