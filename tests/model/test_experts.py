"""The grouped mixture is the mixture by definition; tokens go their own ways; a tiny one learns and stays balanced."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from whorl.core.seed import Seed
from whorl.model.config import ModelConfig
from whorl.model.count import active_parameters, flops_per_token, parameters
from whorl.model.cross_entropy import chunked_cross_entropy
from whorl.model.experts import Experts, Matrices, build_feed_forward, everywhere, grouped, looped
from whorl.model.layers import GatedMLP, gate_of
from whorl.model.router import Router, Routing, balanced, side_loss
from whorl.model.transformer import Transformer

TOY = {
    "vocab_size": 16,
    "width": 8,
    "depth": 1,
    "heads": 1,
    "kv_heads": 1,
    "head_dim": 8,
    "mlp_width": 12,
    "max_positions": 16,
    "experts": 4,
    "experts_per_token": 2,
    "expert_width": 6,
}


def layer(**axes):
    """Four experts of width 6 on 8 channels, every weight drawn."""
    built = Experts(ModelConfig(**{**TOY, **axes}))
    for number, parameter in enumerate(built.parameters()):
        torch.nn.init.normal_(parameter, 0.0, 0.5, generator=torch.Generator().manual_seed(number))
    return built


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def case(count, experts, top, *, gated, seed, width=5):
    """Tokens, weights and matrices that want gradients, and any choice of different experts."""
    rng = np.random.default_rng(seed)
    chosen = torch.from_numpy(np.stack([rng.permutation(experts)[:top] for _ in range(count)]))
    outer, inner = width, width + (4 if width % 4 == 0 else 3)
    shapes = ((count, outer), (count, top), (experts, 2 * inner if gated else inner, outer), (experts, outer, inner))
    leaves = [torch.from_numpy(rng.normal(size=shape).astype("float32")).requires_grad_() for shape in shapes]
    return chosen, leaves


def outcome(mixture, chosen, leaves, *, gated):
    """Values, and the gradient of every leaf for an uneven upstream gradient."""
    x, weights, inner, downs = leaves
    between = gate_of("silu") if gated else functional.silu
    out = mixture(x, Routing(chosen, weights), Matrices(inner, between, downs))
    upstream = torch.linspace(-1, 1, out.numel()).view_as(out)
    return [out, *torch.autograd.grad(out, leaves, upstream)]


@pytest.mark.parametrize("width", [5, 8])  # with inner widths of 8 and 12: torch takes multiples of 4 only
@given(
    count=st.integers(1, 12), experts=st.integers(1, 6), top=st.integers(1, 6), gated=st.booleans(), seed=st.integers(0, 999)
)
def test_grouped_and_everywhere_equal_looped_in_value_and_every_gradient(width, count, experts, top, gated, seed):
    chosen, leaves = case(count, experts, min(top, experts), gated=gated, seed=seed, width=width)
    ours, whole, wanted = (outcome(mixture, chosen, leaves, gated=gated) for mixture in (grouped, everywhere, looped))
    for a, b, c in zip(ours, whole, wanted, strict=True):
        torch.testing.assert_close(a, c, atol=1e-5, rtol=1e-5)  # float32 sums of some tens of terms in another order
        torch.testing.assert_close(b, c, atol=1e-5, rtol=1e-5)


def test_experts_that_nobody_chose_have_a_gradient_of_zero():
    chosen, leaves = case(5, 4, 2, gated=True, seed=0)
    slopes = outcome(grouped, chosen % 2, leaves, gated=True)
    assert (slopes[3][2:] == 0).all()
    assert (slopes[3][:2].abs().sum((1, 2)) > 0).all()


def test_one_expert_that_is_always_chosen_is_a_dense_feed_forward():
    built = layer(experts=1, experts_per_token=1)
    dense = GatedMLP(ModelConfig(**{**TOY, "experts": 0, "mlp_width": 6}))
    for ours, stacked in ((dense.gate, built.gates), (dense.up, built.ups), (dense.down, built.downs)):
        ours.weight.data.copy_(stacked[0])
    x = tokens(2, 5, 8)
    torch.testing.assert_close(built(x), dense(x))


def test_two_experts_of_one_channel_give_the_hand_worked_sum():
    routing = Routing(torch.tensor([[1, 0]]), torch.tensor([[0.75, 0.25]]))
    matrices = Matrices(torch.tensor([[[2.0]], [[3.0]]]), functional.relu, torch.tensor([[[10.0]], [[100.0]]]))
    # Three quarters of what expert 1 makes of the 4, a quarter of what expert 0 does.
    assert grouped(torch.tensor([[4.0]]), routing, matrices).tolist() == [[0.75 * 100 * 12 + 0.25 * 10 * 8]]


def test_a_shared_expert_is_added_for_every_token():
    built, x = layer(shared_width=10), tokens(1, 6, 8)
    whole = built(x)
    shared, built.shared = built.shared, None
    torch.testing.assert_close(whole, built(x) + shared(x))


def test_a_gated_shared_expert_is_weighted_token_by_token():
    built, x = layer(shared_width=10, shared_gate=True), tokens(1, 6, 8)
    whole, share = built(x), built.shared_gate(x).sigmoid()
    shared, built.shared = built.shared, None
    torch.testing.assert_close(whole, built(x) + share * shared(x))
    with pytest.raises(ValueError, match="shared_gate=True goes with a shared expert"):
        layer(shared_gate=True)


@given(order=st.permutations(range(7)), seed=st.integers(0, 99))
def test_permuted_tokens_give_permuted_outputs(order, seed):
    built, x = layer(shared_width=10), tokens(1, 7, 8, seed=seed)
    torch.testing.assert_close(built(x[:, order]), built(x)[:, order], atol=1e-5, rtol=1e-5)


@given(beside=st.integers(0, 9), seed=st.integers(0, 99))
def test_a_token_is_worth_the_same_whoever_stands_beside_it(beside, seed):
    built = layer(router="sigmoid", balance="bias")
    x, others = tokens(1, 1, 8, seed=seed), tokens(1, beside, 8, seed=seed + 1)
    torch.testing.assert_close(built(torch.cat([x, others], dim=1))[:, :1], built(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "axes", [{}, {"router": "sigmoid"}, {"normalise_top": False}, {"gated": False}, {"shared_width": 5, "shared_gate": True}]
)
def test_gradients_reach_every_parameter_router_included(axes):
    built = layer(**axes)
    built(tokens(4, 16, 8)).square().sum().backward()
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in built.parameters())


@torch.no_grad()
def test_bfloat16_stays_within_roundings_of_float32():
    built, x = layer(), tokens(8, 16, 8)
    exact, rounded = built(x), built(x.bfloat16())
    assert rounded.dtype == torch.bfloat16
    # Tokens whose two best scores nearly tie may go elsewhere when x is rounded; the router itself works in float32.
    same = (built.router(x.flatten(0, 1)).chosen == built.router(x.bfloat16().flatten(0, 1)).chosen).all(-1).view(8, 16)
    assert float(same.float().mean()) > 0.9
    error = (rounded.float() - exact).abs().amax(-1)[same]
    assert float(error.max()) < 0.03 * float(exact.abs().max())


def test_values_and_gradients_repeat_to_the_bit():
    runs = []
    for _ in range(3):
        built = layer()
        out = built(tokens(4, 16, 8).bfloat16())
        out.square().sum().backward()
        runs.append([out, *(parameter.grad for parameter in built.parameters())])
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


def test_only_layers_that_are_said_to_have_experts_have_them():
    config = ModelConfig(**{**TOY, "depth": 3, "expert_layers": (False, True, False)})
    assert [isinstance(build_feed_forward(config, number), Experts) for number in range(3)] == [False, True, False]


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"shared_width": 5},
        {"shared_width": 5, "shared_gate": True},
        {"gated": False, "shared_width": 5},
        {"depth": 2, "expert_layers": (True, False)},
    ],
)
def test_counted_parameters_are_those_a_mixture_has(axes):
    config = ModelConfig(**{**TOY, **axes})
    model = Transformer(config)
    assert parameters(config).total == sum(weight.numel() for weight in model.parameters())
    idle = sum(weight[2:].numel() for name, weight in model.named_parameters() if name.endswith(("gates", "ups", "downs")))
    assert active_parameters(config).total == parameters(config).total - idle


def test_flops_of_a_mixture_are_those_of_the_experts_a_token_uses():
    # Multiply-adds: q k v o 4*64, router 8*4, two experts 2*3*8*6, shared 3*8*5, head 8*16; attention 2*8 for 2 keys.
    wanted = 6 * (256 + 32 + 288 + 120 + 128 + 32)
    assert flops_per_token(ModelConfig(**{**TOY, "shared_width": 5}), width=3) == wanted


VOCAB = 48


def texts(count, seed):
    """Rows that can be learned: each token is the one before plus the row's stride."""
    rng = np.random.default_rng(seed)
    start, stride = rng.integers(0, VOCAB, (count, 1)), rng.integers(1, 4, (count, 1))
    return torch.from_numpy((start + stride * np.arange(9)) % VOCAB)


def crowded_mixture(**axes):
    """Two layers of four experts, two for each token; nearly every token wants expert 0."""
    config = ModelConfig(**{**TOY, "vocab_size": VOCAB, "depth": 2, "width": 16, "head_dim": 16, "router": "sigmoid", **axes})
    model = Transformer.fresh(config, Seed(5))
    with torch.no_grad():
        model.embed.weight[:, 0] = 0.1
        for block in model.blocks:
            block.mlp_norm.weight[0] = 4.0
            block.mlp.router.weight[0, 0] = 1.0
    return model


def trained(steps=200, **axes):
    """Mean loss (nats) of every step of a mixture under Adam, and tokens (steps, layers, experts)."""
    model = crowded_mixture(**axes)
    routers = [module for module in model.modules() if isinstance(module, Router)]
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses, loads = [], []
    for step in range(steps):
        ids = texts(32, seed=step)
        for router in routers:
            router.listen()
        hidden, targets = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        nats = chunked_cross_entropy(hidden, model.head_weight, targets=targets, weights=torch.ones(len(targets))).total
        loss = nats / len(targets)
        adam.zero_grad()
        (loss + side_loss(routers, torch.ones_like(ids[:, :-1], dtype=torch.bool))).backward()
        adam.step()
        loads.append(balanced(routers))
        losses.append(float(loss.detach()))
    return losses, torch.stack(loads)


def fullest_share(loads):
    """The most that one expert of any layer had of all choices made in some steps: a quarter is even, a half is the most."""
    total = loads.sum(0).double()  # l e
    return float((total.max(dim=1).values / total.sum(dim=1)).max())


@pytest.mark.parametrize(("balance", "weight", "evenest"), [("none", 0.0, 0.31), ("loss", 0.1, 0.25), ("bias", 0.01, 0.25)])
def test_a_tiny_mixture_learns_and_both_ways_of_balancing_even_its_loads(balance, weight, evenest):
    losses, loads = trained(balance=balance, balance_weight=weight)
    assert losses[0] > 3.8  # log(48) = 3.87 for a guess
    assert np.mean(losses[-10:]) < 0.85
    assert fullest_share(loads[:5]) > 0.48
    assert evenest <= fullest_share(loads[30:]) < evenest + {"none": 0.1, "loss": 0.04, "bias": 0.02}[balance]
    assert (loads.sum(-1) == 32 * 8 * 2).all()  # nothing is dropped
