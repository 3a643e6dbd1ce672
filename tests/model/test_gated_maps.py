"""A gated feed-forward as one map: the numbers of its parts, to the bit, and where it must step aside."""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toy_models import tiny_config
from toy_tensors import assert_same_bits, drawn, passed

from whorl.model.gated_maps import can_feed, fed
from whorl.model.kernels import gelu_gated, silu_gated
from whorl.model.layers import GatedMLP, product
from whorl.model.maps import mapped
from whorl.model.products import can_multiply

GATES = {"silu": silu_gated, "gelu": gelu_gated}
pytestmark = pytest.mark.skipif(not can_multiply(torch.zeros(2, 2)), reason="this processor does not multiply pairs")


def given_for(rows, d, e):
    weights = [torch.nn.Parameter(0.2 * drawn(*shape, seed=1, dtype=torch.float32)) for shape in ((e, d), (e, d), (d, e))]
    return drawn(2, rows // 2, d).requires_grad_(), weights


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@pytest.mark.parametrize(("rows", "d", "e"), [(64, 16, 64), (130, 96, 192), (1000, 34, 128)])
def test_output_and_every_gradient_are_those_of_the_parts_to_the_bit(activation, rows, d, e):
    x, weights = given_for(rows, d, e)
    assert can_feed(x, tuple(weights), activation)
    parts = passed(lambda: mapped(GATES[activation](mapped(x, tuple(weights[:2]))), (weights[2],)), (x, *weights))
    assert_same_bits(lambda: fed(x, tuple(weights), activation), (x, *weights), parts)


def test_a_frozen_weight_gets_no_gradient_and_the_others_theirs():
    x, weights = given_for(64, 16, 64)
    wanted = passed(lambda: fed(x, tuple(weights), "silu"), (x, *weights))
    weights[2].requires_grad_(requires_grad=False)
    found = passed(lambda: fed(x, tuple(weights), "silu"), (x, *weights))
    assert found[4] is None
    assert all(torch.equal(one, other) for one, other in zip(found[:4], wanted[:4], strict=True))


class _Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_what_it_cannot_do_is_left_to_the_parts():
    x, weights = given_for(64, 16, 64)
    assert not can_feed(x, tuple(weights), "relu2")
    assert not can_feed(x.float(), tuple(weights), "silu")
    narrow = given_for(64, 16, 48)
    assert not can_feed(narrow[0], tuple(narrow[1]), "silu")
    with torch.no_grad():
        assert not can_feed(x, tuple(weights), "silu")
    with _Watching():
        assert not can_feed(x, tuple(weights), "silu")


def test_the_layer_takes_it_unless_somebody_put_another_product_in(monkeypatch):
    taken = []
    monkeypatch.setattr(
        "whorl.model.layers.fed", lambda x, weights, activation: taken.append(activation) or fed(x, weights, activation)
    )
    mlp = GatedMLP(tiny_config("llama", width=32, mlp_width=64))
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = drawn(2, 40, 32)
    found = mlp(x)
    assert taken == ["silu"]
    mlp.down.product = partial(product)
    assert torch.equal(mlp(x), found)
    assert taken == ["silu"]
