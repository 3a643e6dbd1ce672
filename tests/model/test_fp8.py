import pytest
import torch
from torch.nn import functional

from whorl.core.errors import ConfigError, ResourceError
from whorl.core.seed import Seed
from whorl.model import fp8
from whorl.model.config import ModelConfig
from whorl.model.fp8 import Rounded, fp8_product, rounded, use_fp8
from whorl.model.transformer import Transformer

SHAPE = {
    "vocab_size": 64,
    "width": 32,
    "depth": 2,
    "heads": 2,
    "kv_heads": 2,
    "head_dim": 16,
    "mlp_width": 48,
    "max_positions": 32,
}


def drawn(*shape, scale=1.0, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def plain(matrix: Rounded) -> torch.Tensor:
    """What the eight bits stand for, in float32."""
    return matrix.values.float() * matrix.scale


def test_the_largest_entry_becomes_the_largest_number_of_the_format():
    four = rounded(torch.tensor([[1.0, -2.0], [0.5, 4.0]]), torch.float8_e4m3fn)
    assert four.values.float().abs().max() == 448
    assert float(four.scale) == pytest.approx(4 / 448)
    assert torch.equal(plain(four), torch.tensor([[1.0, -2.0], [0.5, 4.0]]))  # powers of two lose nothing
    assert rounded(torch.tensor([[4.0]]), torch.float8_e5m2).values.float().item() == 57344


def test_rounding_is_to_nearest_among_eight_steps_between_powers_of_two():
    matrix = torch.tensor([[448.0, 17.0, 18.0, 19.1]])  # scale 1; between 16 and 32 e4m3 counts in twos, ties go to even
    assert rounded(matrix, torch.float8_e4m3fn).values.float().tolist() == [[448.0, 16.0, 18.0, 20.0]]


@pytest.mark.parametrize(("dtype", "half_step"), [(torch.float8_e4m3fn, 2**-4), (torch.float8_e5m2, 2**-3)])
def test_no_entry_of_normal_size_moves_by_more_than_half_a_step(dtype, half_step):
    matrix = drawn(64, 64)
    matrix[matrix.abs() < 0.05] = 0.05  # smaller ones are subnormal beside the largest and move more
    moved = (plain(rounded(matrix, dtype)) - matrix).abs() / matrix.abs()
    assert float(moved.max()) <= half_step * 1.001


def test_a_matrix_of_zeros_stays_zero_and_finite():
    zeros = rounded(torch.zeros(16, 16), torch.float8_e4m3fn)
    assert torch.equal(plain(zeros), torch.zeros(16, 16))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_all_three_products_equal_those_of_the_rounded_matrices_in_float32(scale):
    x, weight = drawn(2, 16, 32, scale=scale).requires_grad_(), drawn(48, 32, scale=0.02, seed=1).requires_grad_()
    grad = drawn(2, 16, 48, scale=scale, seed=2)
    out = fp8_product(x, (weight,), (None,))
    torch.autograd.backward(out, grad)
    left, right = plain(rounded(x.detach().flatten(0, 1), torch.float8_e4m3fn)), plain(rounded(weight, torch.float8_e4m3fn))
    back = plain(rounded(grad.flatten(0, 1), torch.float8_e5m2))
    # 1e-5: the same numbers summed in another order.
    torch.testing.assert_close(out.flatten(0, 1), left @ right.T, rtol=1e-5, atol=1e-5 * scale)
    torch.testing.assert_close(x.grad.flatten(0, 1), back @ right, rtol=1e-5, atol=1e-5 * scale)
    torch.testing.assert_close(weight.grad, back.T @ left, rtol=1e-5, atol=1e-5 * scale**2)


def test_gradients_lie_within_a_few_percent_of_exact_ones():
    x, weight, grad = drawn(64, 128), drawn(96, 128, scale=0.02, seed=1), drawn(64, 96, seed=2)
    found = []
    for product in (lambda x, w: fp8_product(x, (w,), (None,)), functional.linear):
        leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
        torch.autograd.backward(product(*leaves), grad)
        found.append([leaf.grad for leaf in leaves])
    for eight, exact in zip(*found, strict=True):
        assert 1e-4 < float((eight - exact).norm() / exact.norm()) < 0.08


def test_without_gradients_the_product_is_that_of_the_model_as_it_is_kept():
    x, weight, bias = drawn(3, 7, 32), drawn(48, 32, seed=1), drawn(48, seed=2)
    with torch.no_grad():
        assert torch.equal(fp8_product(x, (weight,), (bias,)), functional.linear(x, weight, bias))


def test_the_bias_is_added_unrounded():
    x, weight, bias = drawn(16, 32), drawn(48, 32, seed=1), drawn(48, seed=2)
    torch.testing.assert_close(
        fp8_product(x, (weight,), (bias,)) - fp8_product(x, (weight,), (None,)), bias.expand(16, -1), rtol=0, atol=1e-6
    )


def test_a_processor_is_refused_with_a_way_out():
    with pytest.raises(ResourceError, match=r"want a CUDA GPU.*bf16"):
        use_fp8(Transformer(ModelConfig(**SHAPE)), 16)


def test_a_gpu_without_the_units_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    with pytest.raises(ResourceError, match=r"NVIDIA A100 has compute capability 8\.0, want 8\.9"):
        fp8.check_units(torch.device("cuda"))


@pytest.fixture
def able(monkeypatch):
    """As if the processor had the units: torch multiplies eight bits there too, only not fast."""
    monkeypatch.setattr(fp8, "check_units", lambda device: None)


@pytest.mark.parametrize(("changed", "width", "match"), [({"mlp_width": 40}, 16, "blocks.0.mlp"), ({}, 20, "width=20")])
def test_sides_that_the_units_cannot_take_are_named(able, changed, width, match):
    with pytest.raises(ConfigError, match=match):
        use_fp8(Transformer(ModelConfig(**SHAPE | changed)), width)


def test_a_model_learns_in_eight_bits_almost_as_without(able):
    ids = torch.randint(0, 64, (4, 32), generator=torch.Generator().manual_seed(3))
    last = {}
    for uses in (False, True):
        model = Transformer.fresh(ModelConfig(**SHAPE), Seed(1))
        assert not uses or use_fp8(model, 32) == 14  # q k v o gate up down, twice
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(20):
            loss = functional.cross_entropy(model.head(model(ids)).flatten(0, 1).float(), ids.roll(-1, 1).flatten())
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        last[uses] = float(loss.detach())
    assert last[False] < 3.5  # from log 64 = 4.16
    assert last[True] != last[False]
    assert last[True] == pytest.approx(last[False], abs=0.05)
