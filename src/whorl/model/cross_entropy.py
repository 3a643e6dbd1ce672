"""model/cross_entropy: next-token loss straight from hidden states, without ever holding the full matrix of logits.

Gradients are made in the forward pass, chunk by chunk, so no chunk is computed twice. Sums in float32. Does not normalise:
the caller divides by the global number of targets.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

__all__ = ["TokenLoss", "chunked_cross_entropy", "token_logprobs"]


class TokenLoss(NamedTuple):
    """The weighted sum, which carries gradients, and each token's own loss, which does not. Nats; 0 at weight 0."""

    total: Float[Tensor, ""]
    tokens: Float[Tensor, " n"]


def _rows(vocab_size: int) -> int:
    """Rows whose float32 logits fill 16 MB: enough for full-speed products, little enough to stay near the caches."""
    return max(64, 2**22 // vocab_size)


class _SummedLoss(torch.autograd.Function):
    """sum_i weights_i * -log softmax(hidden_i W^T)[target_i], with its gradients computed alongside."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        targets, weights, chunk = rest
        targets = targets.masked_fill(weights == 0, 0)
        matrix = weight.to(hidden.dtype)
        losses = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        for start in range(0, hidden.shape[0], chunk):
            part = slice(start, start + chunk)
            logits = functional.linear(hidden[part], matrix)  # n v
            slope = logits.softmax(dim=-1, dtype=torch.float32)
            losses[part] = _losses(logits, slope, targets=targets[part])
            slope.scatter_add_(1, targets[part, None], torch.full_like(slope[:, :1], -1.0))
            slope = slope.to(hidden.dtype)
            torch.mm(slope, matrix, out=grad_hidden[part])
            grad_weight += slope.T @ (hidden[part] * weights[part, None].to(hidden.dtype))
        losses.masked_fill_(weights == 0, 0.0)
        grad_hidden.mul_(weights[:, None])
        ctx.save_for_backward(grad_hidden, grad_weight.to(weight.dtype))
        ctx.mark_non_differentiable(losses)
        return (losses * weights).sum(), losses

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grads[0]
        return grad_hidden * scale.to(grad_hidden.dtype), grad_weight * scale, None, None, None


def _losses(logits: Tensor, probabilities: Tensor, *, targets: Tensor) -> Tensor:
    """Minus log-probability of each target. The probabilities are there already; the few too small for a float32 logarithm
    are taken from the logits instead, so that hopeless tokens keep their true loss."""
    chosen = probabilities.gather(1, targets[:, None]).squeeze(1)
    losses = chosen.log().neg_()
    tiny = (chosen < 1e-30).nonzero().squeeze(1)
    far = logits[tiny].float()
    losses[tiny] = far.logsumexp(dim=-1) - far.gather(1, targets[tiny, None]).squeeze(1)
    return losses


def chunked_cross_entropy(
    hidden: Float[Tensor, "n d"],
    weight: Float[Tensor, "v d"],
    *,
    targets: Int[Tensor, " n"],
    weights: Float[Tensor, " n"],
    chunk: int | None = None,
) -> TokenLoss:
    """Weighted sum of cross-entropies in nats; at most `chunk` rows of logits exist at a time (default: 16 MB of them).

    A token of weight 0 adds nothing to the sum or to any gradient, whatever its target.
    """
    rows = chunk or _rows(weight.shape[0])
    apply: Any = _SummedLoss.apply  # untyped in torch
    return TokenLoss(*apply(hidden, weight, targets, weights, rows))


@torch.no_grad()
def token_logprobs(
    hidden: Float[Tensor, "n d"], weight: Float[Tensor, "v d"], *, targets: Int[Tensor, " n"], chunk: int | None = None
) -> Float[Tensor, " n"]:
    """Log-probability of each target in nats, float32; at most `chunk` rows of logits exist at a time (default: 16 MB)."""
    chunk = chunk or _rows(weight.shape[0])
    matrix = weight.to(hidden.dtype)
    out = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
    for start in range(0, hidden.shape[0], chunk):
        part = slice(start, start + chunk)
        logits = functional.linear(hidden[part], matrix).float()
        out[part] = logits.gather(1, targets[part, None]).squeeze(1) - logits.logsumexp(dim=-1)
    return out
