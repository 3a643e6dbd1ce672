"""Who is chosen, with what weight, what uneven loads cost, and how the bias evens them out."""

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.model.config import ModelConfig
from whorl.model.router import Router, balance_loss, crowding, expert_loads, route, z_loss

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model" / "balance.json"
PEER = ROOT / ".venv-bench-hf" / "bin" / "python"
SCORES = torch.tensor([[0.5, 0.3, 0.2]])
SHAPE = {
    "vocab_size": 11,
    "width": 6,
    "depth": 1,
    "heads": 1,
    "kv_heads": 1,
    "head_dim": 6,
    "mlp_width": 4,
    "max_positions": 8,
    "experts": 5,
    "experts_per_token": 2,
    "expert_width": 4,
}


def router(**axes):
    """Five experts, two of them for each token, with drawn weights."""
    built = Router(ModelConfig(**{**SHAPE, **axes}))
    torch.nn.init.normal_(built.weight, generator=torch.Generator().manual_seed(0))
    return built


def tokens(count, seed=1):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def told(built, x, held=None):
    """One forward pass and what is asked after it."""
    built.listen()
    routing = built(x)
    return routing, built.take(torch.ones(len(x), dtype=torch.bool) if held is None else held)


@pytest.mark.parametrize(("normalise", "weights"), [(True, [0.625, 0.375]), (False, [0.5, 0.3])])
def test_the_best_two_are_chosen_and_weighted_by_their_scores(normalise, weights):
    routing = route(SCORES, None, top=2, normalise=normalise)
    assert routing.chosen.tolist() == [[0, 1]]
    assert routing.weights[0].tolist() == pytest.approx(weights)


def test_a_bias_chooses_and_does_not_weigh():
    routing = route(SCORES, torch.tensor([0.0, 0.0, 0.2]), top=2, normalise=True)
    assert routing.chosen.tolist() == [[0, 2]]
    assert routing.weights[0].tolist() == pytest.approx([0.5 / 0.7, 0.2 / 0.7])


def test_weights_are_scaled_after_they_are_normalised():
    assert route(SCORES, None, top=2, normalise=True, scale=2.0).weights[0].tolist() == pytest.approx([1.25, 0.75])


def test_weights_of_hopeless_sigmoids_are_finite():
    assert torch.isfinite(route(torch.zeros(1, 3), None, top=2, normalise=True).weights).all()


@given(
    count=st.integers(1, 9),
    top=st.integers(1, 5),
    kind=st.sampled_from(["softmax", "sigmoid"]),
    balance=st.sampled_from(["loss", "bias", "none"]),
    seed=st.integers(0, 99),
)
def test_every_token_gets_exactly_k_different_experts(count, top, kind, balance, seed):
    routing = router(experts_per_token=top, router=kind, balance=balance)(tokens(count, seed))
    assert routing.chosen.shape == routing.weights.shape == (count, top)
    assert all(len(set(row)) == top for row in routing.chosen.tolist())
    assert ((routing.chosen >= 0) & (routing.chosen < 5)).all()
    torch.testing.assert_close(routing.weights.sum(-1), torch.ones(count))


@given(count=st.integers(2, 9), seed=st.integers(0, 99))
def test_a_token_is_routed_alike_whoever_stands_beside_it(count, seed):
    built, x = router(), tokens(count, seed)
    whole = built(x)
    for number in range(count):
        alone = built(x[number : number + 1])
        assert torch.equal(alone.chosen[0], whole.chosen[number])
        # float32: a product of one row and of many sum in another order
        torch.testing.assert_close(alone.weights[0], whole.weights[number])


def test_scores_are_float32_whatever_the_tokens_are():
    assert router()(tokens(3).bfloat16()).weights.dtype == torch.float32


def test_loads_leave_out_what_holds_no_text():
    chosen = torch.tensor([[0, 1], [0, 2], [1, 2]])
    assert expert_loads(chosen, torch.tensor([True, True, False]), 4).tolist() == [2, 1, 1, 0]


def test_crowding_is_the_worst_layers_fullest_expert_over_its_mean():
    assert float(crowding(torch.tensor([[2, 2, 2, 2], [1, 5, 2, 0]]))) == 2.5
    assert float(crowding(torch.zeros(1, 4, dtype=torch.long))) == 0


def test_even_loads_cost_the_number_of_choices_and_one_crowded_expert_costs_all_of_them():
    even = torch.tensor([[0.25] * 4] * 2)
    assert float(balance_loss(even, torch.tensor([[0, 1], [2, 3]]), torch.ones(2, dtype=torch.bool))) == pytest.approx(2)
    crowded = torch.tensor([[1.0, 0, 0, 0]] * 3)
    assert float(balance_loss(crowded, torch.tensor([[0]] * 3), torch.ones(3, dtype=torch.bool))) == pytest.approx(4)


def test_balance_loss_of_two_tokens_is_the_hand_worked_one():
    scores = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    # shares of tokens 1/2, 1/2, 0; mean scores 0.3, 0.45, 0.25
    loss = balance_loss(scores, torch.tensor([[0], [1]]), torch.ones(2, dtype=torch.bool))
    assert float(loss) == pytest.approx(3 * (0.5 * 0.3 + 0.5 * 0.45))


@given(data=st.data(), top=st.integers(1, 3), seed=st.integers(0, 99))
def test_padding_costs_nothing(data, top, seed):
    held = torch.tensor(data.draw(st.lists(st.booleans(), min_size=2, max_size=8).filter(any)))
    logits = 2 * torch.randn(len(held), 4, generator=torch.Generator().manual_seed(seed))
    scores, chosen = logits.softmax(-1), logits.topk(top).indices
    everyone = torch.ones(int(held.sum()), dtype=torch.bool)
    torch.testing.assert_close(balance_loss(scores, chosen, held), balance_loss(scores[held], chosen[held], everyone))
    torch.testing.assert_close(z_loss(logits, held), z_loss(logits[held], everyone))


def test_rows_of_nothing_but_padding_cost_nothing():
    nobody = torch.zeros(3, dtype=torch.bool)
    assert float(balance_loss(torch.full((3, 4), 0.25), torch.zeros(3, 1, dtype=torch.long), nobody)) == 0
    assert float(z_loss(torch.ones(3, 4), nobody)) == 0


def test_z_loss_is_the_hand_worked_one():
    logits = torch.tensor([[math.log(1.0), math.log(3.0)], [math.log(2.0), math.log(6.0)]])
    loss = z_loss(logits, torch.ones(2, dtype=torch.bool))
    assert float(loss) == pytest.approx((math.log(4) ** 2 + math.log(8) ** 2) / 2)


def balance_cases():
    """Router logits of several shapes, with and without padding; plain numbers."""
    rng = np.random.default_rng(3)
    cases = {}
    for name, (layers, count, experts, top) in {"one": (1, 9, 4, 2), "three": (3, 7, 6, 2), "top1": (2, 5, 3, 1)}.items():
        logits = (rng.normal(0, 2, (layers, count, experts)) + rng.normal(0, 1, experts)).round(3).tolist()
        cases[name] = {"logits": logits, "top": top, "held": None}
        cases[f"{name}, padded"] = {"logits": logits, "top": top, "held": (rng.random(count) < 0.7).astype(int).tolist()}
    return cases


def our_balance(case):
    """All layers pooled, as the peer does it."""
    logits = torch.tensor(case["logits"])  # l n e
    layers, count, experts = logits.shape
    held = torch.ones(count, dtype=torch.bool) if case["held"] is None else torch.tensor(case["held"]).bool()
    rows = logits.reshape(-1, experts)
    return float(balance_loss(rows.softmax(-1), rows.topk(case["top"]).indices, held.repeat(layers)))


def test_balance_loss_equals_what_the_peer_was_recorded_to_give():
    golden = json.loads(GOLDEN.read_text())
    assert set(golden) == {*balance_cases(), "versions"}
    for name, case in balance_cases().items():
        assert our_balance(case) == pytest.approx(golden[name], rel=1e-5), name


@pytest.mark.parity
def test_the_peer_gives_our_balance_loss(tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete tests/golden/model/balance.json."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 transformers in it"
    (tmp_path / "ask.json").write_text(json.dumps(balance_cases()))
    script = Path(__file__).with_name("peer_router.py")
    command = [str(PEER), str(script), str(tmp_path / "ask.json"), str(tmp_path / "said.json")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads((tmp_path / "said.json").read_text())
    for name, case in balance_cases().items():
        assert our_balance(case) == pytest.approx(said[name], rel=1e-5), name
    if not GOLDEN.is_file():
        GOLDEN.write_text(json.dumps(said, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert set(golden) == set(said)
    for name in balance_cases():
        assert golden[name] == pytest.approx(said[name], rel=1e-5), name


def test_the_loss_is_the_weighted_sum_of_its_two_terms():
    built, x = router(balance_weight=0.25, router_z=0.5), tokens(8)
    held = torch.arange(8) < 6
    _, loss = told(built, x, held)
    logits = x @ built.weight.T
    wanted = 0.25 * balance_loss(logits.softmax(-1), logits.topk(2).indices, held) + 0.5 * z_loss(logits, held)
    torch.testing.assert_close(loss, wanted)


def test_without_balancing_the_loss_is_zero_and_loads_are_counted_all_the_same():
    built = router(balance="none")
    _, loss = told(built, tokens(8))
    assert float(loss) == 0
    assert int(built.loads.sum()) == 16


def test_gradients_of_the_task_and_of_each_loss_reach_the_router():
    for axes in ({}, {"balance": "none", "router_z": 0.1}, {"router": "sigmoid"}):
        built = router(**axes)
        routing, loss = told(built, tokens(8))
        for scalar in (routing.weights.square().sum(), loss):
            (slope,) = torch.autograd.grad(scalar, built.weight, retain_graph=True)
            assert float(slope.abs().sum()) > 0


def test_descending_the_balance_loss_evens_the_loads():
    built, x = router(balance_weight=1.0), tokens(256)
    with torch.no_grad():
        x[:, 0] = 1.0
        built.weight[0, 0] += 6.0  # nearly everyone wants expert 0
    shares = []  # of the fullest expert; a half is the most, since a token uses two
    for _ in range(90):
        _, loss = told(built, x)
        (slope,) = torch.autograd.grad(loss, built.weight)
        built.weight.data -= 0.3 * slope
        shares.append(float(built.rebalance().max()) / 512)
    assert shares[0] > 0.45
    assert shares[-1] < 0.25  # of 1/5 if even


def test_the_bias_lifts_the_idle_and_lowers_the_busy_by_one_step():
    built = router(balance="bias", balance_weight=0.125)
    built.loads += torch.tensor([4, 1, 2, 3, 0])  # mean 2
    assert built.rebalance().tolist() == [4, 1, 2, 3, 0]
    assert built.bias.tolist() == [-0.125, 0.125, 0.0, -0.125, 0.125]
    assert built.loads.tolist() == [0] * 5


@given(cuts=st.lists(st.integers(1, 30), max_size=4), seed=st.integers(0, 99))
def test_micro_batches_move_the_bias_exactly_as_the_whole_batch_does(cuts, seed):
    whole, parts = router(balance="bias"), router(balance="bias")
    x = tokens(31, seed)
    told(whole, x)
    for piece in torch.tensor_split(x, sorted(set(cuts))):
        told(parts, piece)
    assert torch.equal(whole.rebalance(), parts.rebalance())
    assert torch.equal(whole.bias, parts.bias)


def test_the_bias_evens_the_loads_without_any_loss():
    built, x = router(balance="bias", balance_weight=0.01, router="sigmoid"), tokens(256)
    x[:, 0] = 1.0
    built.weight.data[0, 0] += 6.0
    shares = []
    for _ in range(120):
        _, loss = told(built, x)
        assert float(loss) == 0
        shares.append(float(built.rebalance().max()) / 512)
    assert shares[0] > 0.45
    assert max(shares[-10:]) < 0.22


def test_a_pass_that_nobody_asks_about_is_not_noted():
    built, x = router(), tokens(4)
    built.listen()
    built(x)
    built.take(torch.ones(4, dtype=torch.bool))
    built(x)  # as activation checkpointing does during the backward pass
    assert built.notes is None
    with torch.no_grad():
        built.listen()
        built(x)
    assert built.notes is None
    built.eval().listen()
    built(x)
    assert built.notes is None
    assert int(built.loads.sum()) == 8


def test_the_bias_is_state_and_the_loads_of_a_step_are_not():
    assert set(router(balance="bias").state_dict()) == {"weight", "bias"}
    assert set(router(balance="loss").state_dict()) == {"weight"}
