"""Queries, keys and values as one map: the numbers of a product and turns, to the bit, and where it must step aside."""

import pytest
import torch
from toy_models import tiny_config
from toy_tensors import BF16, assert_same_bits, drawn, passed

from whorl.model.attention import Attention
from whorl.model.kernels import turned_heads
from whorl.model.maps import mapped
from whorl.model.products import can_multiply
from whorl.model.rope import rotary_table, turn_at
from whorl.model.turned_maps import can_turn, turned_maps

pytestmark = pytest.mark.skipif(not can_multiply(torch.zeros(2, 2)), reason="this processor does not multiply pairs")


ROWS, TIME, WIDTH = 2, 50, 24


def given_for(*, heads, kv, c, restarts=False):
    weights = [torch.nn.Parameter(0.2 * drawn(n * c, WIDTH, seed=n, dtype=torch.float32)) for n in (heads, kv, kv)]
    positions = torch.arange(TIME)[None]
    if restarts:  # packed rows, each with places of its own
        positions = torch.stack([(torch.arange(TIME) + 7 * row) % 19 for row in range(ROWS)])
    turn = turn_at(rotary_table(64, c, theta=1e4), positions, heads=heads + kv, dtype=BF16)
    return drawn(ROWS, TIME, WIDTH).requires_grad_(), weights, turn


@pytest.mark.parametrize(("heads", "kv", "c"), [(2, 2, 64), (4, 1, 64), (2, 1, 128), (8, 4, 32), (4, 4, 16)])
@pytest.mark.parametrize("restarts", [False, True])
def test_heads_and_every_gradient_are_those_of_the_parts_to_the_bit(heads, kv, c, restarts):
    x, weights, turn = given_for(heads=heads, kv=kv, c=c, restarts=restarts)
    assert can_turn(x, tuple(weights), turn)

    def parts():
        return turned_heads(mapped(x, tuple(weights)).view(*x.shape[:2], -1, c), turn, num_kv=kv, norm=None)

    wanted = passed(parts, (x, *weights))
    assert_same_bits(lambda: turned_maps(x, tuple(weights), turn), (x, *weights), wanted)


def test_heads_that_do_not_fill_panels_are_left_to_the_parts():
    for heads, kv, c in ((2, 2, 48), (3, 1, 32), (4, 1, 16)):
        x, weights, turn = given_for(heads=heads, kv=kv, c=c)
        assert not can_turn(x, tuple(weights), turn)


@pytest.mark.parametrize(("family", "takes_it"), [("llama", True), ("qwen3", False)])  # qwen3 norms its heads
def test_attention_takes_it_where_heads_are_not_normed(monkeypatch, family, takes_it):
    taken = []
    monkeypatch.setattr("whorl.model.attention.turned_maps", lambda *given: taken.append(1) or turned_maps(*given))
    attention = Attention(tiny_config(family, width=128, heads=2, kv_heads=1, head_dim=64), 0, look=0)
    turn = turn_at(rotary_table(64, 64, theta=1e4), torch.arange(40)[None], heads=3, dtype=BF16)
    heads = attention._projected(drawn(2, 40, 128), turn)
    assert [tuple(one.shape) for one in heads] == [(2, 2, 40, 64), (2, 1, 40, 64), (2, 1, 40, 64)]
    assert bool(taken) is takes_it
