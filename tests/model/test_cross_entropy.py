import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from whorl.model.cross_entropy import chunked_cross_entropy, token_logprobs


def drawn(tokens, width, vocab, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, width, generator=generator).requires_grad_()
    weight = torch.randn(vocab, width, generator=generator).requires_grad_()
    targets = torch.randint(0, vocab, (tokens,), generator=generator)
    return hidden, weight, targets, (torch.rand(tokens, generator=generator) * 2).round() / 2


@given(tokens=st.integers(1, 20), vocab=st.integers(1, 30), chunk=st.integers(1, 25), seed=st.integers(0, 999))
def test_sum_tokens_and_gradients_equal_torch_whatever_the_chunk(tokens, vocab, chunk, seed):
    hidden, weight, targets, weights = drawn(tokens, 6, vocab, seed)
    found = chunked_cross_entropy(hidden, weight, targets=targets, weights=weights, chunk=chunk)
    plain = functional.cross_entropy(hidden @ weight.T, targets, reduction="none")
    torch.testing.assert_close(found.total, (plain * weights).sum(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.tokens, plain.detach() * (weights > 0), atol=1e-5, rtol=1e-5)
    ours = torch.autograd.grad(found.total * 3, (hidden, weight))
    theirs = torch.autograd.grad((plain * weights).sum() * 3, (hidden, weight))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_masked_tokens_add_nothing_whatever_their_target():
    hidden, weight, targets, _ = drawn(4, 6, 9, 0)
    targets[1:3] = -100
    weights = torch.tensor([1.0, 0.0, 0.0, 1.0])
    found = chunked_cross_entropy(hidden, weight, targets=targets, weights=weights)
    found.total.backward()
    assert torch.equal(hidden.grad[1:3], torch.zeros(2, 6))
    assert found.tokens[1:3].tolist() == [0.0, 0.0]


def test_a_batch_with_no_target_has_zero_loss_and_zero_gradient():
    hidden, weight, targets, _ = drawn(5, 6, 9, 0)
    found = chunked_cross_entropy(hidden, weight, targets=targets, weights=torch.zeros(5), chunk=2)
    found.total.backward()
    assert found.total.item() == 0.0
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_a_hopeless_token_keeps_its_true_loss():
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[500.0], [0.0]])
    found = chunked_cross_entropy(hidden, weight, targets=torch.tensor([1]), weights=torch.ones(1))
    assert found.total.item() == 500.0
    assert token_logprobs(hidden, weight, targets=torch.tensor([1])).item() == -500.0


def test_without_gradients_the_sum_is_the_same_to_the_bit():
    hidden, weight, targets, weights = drawn(7, 6, 9, 0)
    with_grad = chunked_cross_entropy(hidden, weight, targets=targets, weights=weights)
    with torch.no_grad():
        without = chunked_cross_entropy(hidden, weight, targets=targets, weights=weights)
    assert torch.equal(with_grad.total, without.total)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_token_logprobs_equal_log_softmax(chunk):
    hidden, weight, targets, _ = drawn(8, 6, 9, 0)
    wanted = (hidden @ weight.T).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(token_logprobs(hidden, weight, targets=targets, chunk=chunk), wanted)


def test_bf16_gradients_point_where_float32_gradients_point():
    hidden, weight, targets, weights = drawn(64, 32, 50, 0)
    exact = torch.autograd.grad(chunked_cross_entropy(hidden, weight, targets=targets, weights=weights).total, (hidden, weight))
    low = hidden.detach().bfloat16().requires_grad_()
    total = chunked_cross_entropy(low, weight, targets=targets, weights=weights).total
    for a, b in zip(torch.autograd.grad(total, (low, weight)), exact, strict=True):
        assert functional.cosine_similarity(a.float().flatten(), b.flatten(), dim=0) > 0.999


@given(
    tokens=st.integers(1, 12),
    vocab=st.integers(1, 20),
    chunk=st.integers(1, 14),
    smoothing=st.sampled_from([0.0, 0.1, 0.5]),
    z_loss=st.sampled_from([0.0, 1e-4, 0.3]),
    has_bias=st.booleans(),
)
def test_smoothing_z_loss_and_bias_equal_torch_value_and_gradient(tokens, vocab, chunk, smoothing, z_loss, has_bias):
    hidden, weight, targets, weights = drawn(tokens, 6, vocab, tokens + vocab)
    bias = torch.randn(vocab, generator=torch.Generator().manual_seed(3)).requires_grad_() if has_bias else None
    logits = functional.linear(hidden, weight, bias)
    plain = functional.cross_entropy(logits, targets, reduction="none")
    bent = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    wanted = ((bent + z_loss * logits.logsumexp(-1) ** 2) * weights).sum()
    found = chunked_cross_entropy(
        hidden, weight, targets=targets, weights=weights, bias=bias, label_smoothing=smoothing, z_loss=z_loss, chunk=chunk
    )
    torch.testing.assert_close(found.total, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.nats, (plain * weights).sum().detach(), atol=1e-5, rtol=1e-5)
    leaves = [hidden, weight, *([bias] if has_bias else [])]
    for a, b in zip(torch.autograd.grad(found.total, leaves), torch.autograd.grad(wanted, leaves), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_one_token_costs_what_the_formula_says():
    hidden, weight = torch.ones(1, 1), torch.tensor([[0.0], [math.log(3.0)]])  # logits 0 and ln 3: logsumexp = ln 4
    found = chunked_cross_entropy(
        hidden, weight, targets=torch.tensor([1]), weights=torch.ones(1), label_smoothing=0.2, z_loss=0.5
    )
    wanted = math.log(4) - 0.8 * math.log(3) - 0.2 * math.log(3) / 2 + 0.5 * math.log(4) ** 2
    assert found.total.item() == pytest.approx(wanted, rel=1e-6)
    assert found.nats.item() == pytest.approx(math.log(4 / 3), rel=1e-6)


def test_without_extras_what_is_optimised_is_what_is_reported():
    hidden, weight, targets, weights = drawn(7, 6, 9, 0)
    found = chunked_cross_entropy(hidden, weight, targets=targets, weights=weights)
    assert torch.equal(found.total.detach(), found.nats)
    assert not found.nats.requires_grad
    assert not found.tokens.requires_grad


def test_z_loss_pulls_the_normaliser_towards_one():
    hidden, weight = torch.ones(1, 1), torch.full((4, 1), 2.0).requires_grad_()
    chunked_cross_entropy(hidden, weight, targets=torch.tensor([0]), weights=torch.ones(1), z_loss=1.0).total.backward()
    assert weight.grad.sum() > 0  # cross-entropy alone moves logits against each other: its slopes sum to zero


@pytest.mark.parametrize("frozen", ["hidden", "weight"])
def test_a_frozen_side_gets_no_gradient_and_the_other_the_same_one(frozen):
    hidden, weight, targets, weights = drawn(7, 6, 9, 0)
    chunked_cross_entropy(hidden, weight, targets=targets, weights=weights).total.backward()
    leaves = {"hidden": hidden.detach().requires_grad_(), "weight": weight.detach().requires_grad_()}
    leaves[frozen].requires_grad_(requires_grad=False)
    chunked_cross_entropy(leaves["hidden"], leaves["weight"], targets=targets, weights=weights).total.backward()
    for name, first in (("hidden", hidden), ("weight", weight)):
        found = leaves[name].grad
        assert found is None if name == frozen else torch.equal(found, first.grad)


def test_running_backward_twice_is_an_error_not_a_wrong_gradient():
    hidden, weight, targets, weights = drawn(4, 6, 9, 0)
    total = chunked_cross_entropy(hidden, weight, targets=targets, weights=weights).total
    (total * 3).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


class _Biggest(TorchDispatchMode):
    """The most numbers any result held."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


@pytest.mark.parametrize("extras", [{}, {"label_smoothing": 0.1, "z_loss": 1e-4}])
def test_no_tensor_is_as_large_as_the_logits(extras):
    hidden, weight, targets, weights = drawn(2048, 4, 640, 0)
    with _Biggest() as seen:
        chunked_cross_entropy(hidden, weight, targets=targets, weights=weights, chunk=100, **extras).total.backward()
        token_logprobs(hidden.detach(), weight.detach(), targets=targets, chunk=100)
    assert seen.numbers == max(100 * 640, 2048 * 4)


def test_logprobs_count_the_bias():
    hidden, weight, targets, _ = drawn(8, 6, 9, 0)
    bias = torch.linspace(-2, 2, 9)
    wanted = functional.linear(hidden, weight, bias).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(token_logprobs(hidden, weight, targets=targets, bias=bias, chunk=3), wanted)
