"""What is replayed computes what was recorded, from what stands in the inputs by then; what cannot be is refused by name."""

import pytest
import torch

from whorl.model import kernels, norms
from whorl.model.packs import pack_matrix
from whorl.model.replay import NotStatic, recorded
from whorl.model.team import can_run

BF16 = torch.bfloat16
pytestmark = pytest.mark.skipif(not can_run(torch.zeros(1, dtype=BF16)), reason="torch runs on other threads here")


def drawn(*shape, seed=0, dtype=BF16):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@torch.inference_mode()
def replays(formula, *inputs):
    """The formula on other inputs, by replaying, and as it is."""
    out, replay = recorded(lambda: formula(*inputs))
    first = out.clone()
    assert torch.equal(first, formula(*inputs))
    for one in inputs:
        one.copy_(drawn(*one.shape, seed=7))
    replay.run()
    assert not torch.equal(out, first)
    return out, formula(*inputs)


def test_a_block_of_loops_sums_and_copies_is_replayed_to_the_bit():
    inwards, gates = pack_matrix(drawn(48, 32, seed=1), None, "bf16"), pack_matrix(drawn(48, 48, seed=2), None, "bf16")

    ones = torch.ones(32)

    def formula(x, y):
        inner = inwards(norms.rms_norm(x, ones, eps=1e-5), out_dtype=BF16)  # 6 48
        turned = inner.view(6, 3, 16).transpose(0, 1).contiguous().view(6, 48)
        gated = kernels.silu_gated(gates(turned + y, out_dtype=BF16))  # 6 24
        return turned + torch.cat([gated, gated], dim=-1)

    found, wanted = replays(formula, drawn(6, 32), drawn(6, 48, seed=3))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("dtype", [BF16, torch.float32])
@pytest.mark.parametrize(("count", "heads"), [(1, 1), (1, 2), (5, 1), (5, 3)])
def test_an_assignment_by_page_and_place_is_replayed(dtype, count, heads):
    pages, places = torch.arange(count) % 2 + 1, torch.arange(count)
    memory = torch.zeros(4, heads, 8, 6, dtype=dtype)
    values = drawn(1, heads, count, 6, dtype=dtype)[0].transpose(0, 1)
    with torch.inference_mode():

        def put():
            memory[pages, :, places] = values
            return memory.view(-1)

        _, replay = recorded(put)
        values.mul_(2)
        replay.run()
    for token in range(count):
        assert torch.equal(memory[pages[token], :, places[token]], values[token])
    assert int((memory != 0).sum()) == values.numel()


@pytest.mark.parametrize(
    ("formula", "named"),
    [
        (torch.sin, "sin"),
        (lambda x: x + 1, "sum with a number"),
        (lambda x: x.float() + x.float(), "_to_copy"),
        (lambda x: x if bool((x > 0).any()) else x + x, "gt"),
        (lambda x: torch.cat([x, x]), "last axis"),
    ],
)
@torch.inference_mode()
def test_what_is_no_loop_is_refused_by_name(formula, named):
    x = drawn(4, 8)
    with pytest.raises(NotStatic, match=named):
        recorded(lambda: formula(x))
