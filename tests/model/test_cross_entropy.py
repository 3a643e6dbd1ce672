import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

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
