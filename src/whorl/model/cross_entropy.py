"""model/cross_entropy: next-token loss straight from hidden states, without ever holding the full matrix of logits.

Gradients are made in the forward pass, chunk by chunk, so no chunk is computed twice. Sums in float32. Does not normalise:
the caller divides by the global number of targets. No second derivatives; a graph of it runs backward once.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from whorl.model.fused import can_run, cross_entropy_
from whorl.model.head_matrix import head_matrix

__all__ = ["TokenLoss", "chunked_cross_entropy", "token_logprobs"]


class TokenLoss(NamedTuple):
    """Nats. What is optimised carries gradients; the other two are plain cross-entropy and carry none. 0 at weight 0."""

    total: Float[Tensor, ""]  # weighted sum, with label smoothing and z-loss where they are asked for
    nats: Float[Tensor, ""]  # weighted sum of plain cross-entropies; equals `total` without smoothing and z-loss
    tokens: Float[Tensor, " n"]  # each token's plain cross-entropy


class _Extras(NamedTuple):
    """What is added to the plain loss of a token; both 0: nothing, and nothing is computed for it."""

    label_smoothing: float
    z_loss: float


def _rows(vocab_size: int, device: torch.device) -> int:
    """Rows of logits at a time. The gradient of the matrix is added up once per chunk in float32, which costs as much as
    256 rows of products (2026-11-21), so a CPU takes 512 or, for small vocabularies, 16 MB of logits; a GPU 512 MB."""
    if device.type == "cuda":
        return max(1024, 2**27 // vocab_size)
    return max(512, 2**22 // vocab_size)


class _Pad:
    """Memory for one chunk of logits and one of slopes, used again by every chunk: fresh pages cost more than the softmax."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, *, rows: int) -> None:
        self.matrix = head_matrix(weight, bias, hidden.dtype)
        self.logits = hidden.new_empty(min(rows, len(hidden)), len(weight))
        self.slopes: Tensor | None = None  # made when they are first asked for

    def logits_of(self, hidden: Tensor) -> Tensor:
        """Logits of some rows, in the dtype of `hidden`, valid until the next call."""
        return self.matrix.logits(hidden, out=self.logits[: len(hidden)])

    def probabilities_of(self, logits: Tensor) -> Tensor:
        """float32, valid until the next call."""
        return torch.softmax(logits, -1, dtype=torch.float32, out=self._slopes(logits))

    def _slopes(self, logits: Tensor) -> Tensor:
        if self.slopes is None:
            self.slopes = torch.empty(self.logits.shape, dtype=torch.float32, device=logits.device)
        return self.slopes[: len(logits)]

    def lowered(self, slopes: Tensor) -> Tensor:
        """The slopes in the compute dtype; overwrites the logits, which nobody needs any more."""
        return slopes if slopes.dtype == self.logits.dtype else self.logits[: len(slopes)].copy_(slopes)


class _SummedLoss(torch.autograd.Function):
    """sum_i weights_i * loss_i, with its gradients computed alongside; and every token's plain cross-entropy."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
        targets, weights, extras, rows = rest
        targets = targets.masked_fill(weights == 0, 0)
        pad = _Pad(hidden, weight, bias, rows=rows)
        plain, optimised = torch.empty((2, len(hidden)), dtype=torch.float32, device=hidden.device)
        slopes_of = _Gradients(hidden, weight, bias, ctx.needs_input_grad)
        is_one_pass = can_run(pad.logits) and bias is None and not any(extras)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = pad.logits_of(hidden[part])
            if is_one_pass:
                plain[part] = optimised[part] = cross_entropy_(logits, targets[part])
                slopes = logits
            else:
                slopes = pad.probabilities_of(logits)
                plain[part] = _plain(logits, slopes, targets=targets[part])
                optimised[part] = _bent(logits, slopes, plain=plain[part], targets=targets[part], extras=extras)
            slopes_of.add(part, slopes, pad=pad, weights=weights[part])
        ctx.save_for_backward(*slopes_of.finished(weights))
        sums = [(losses.masked_fill_(weights == 0, 0.0) * weights).sum() for losses in (optimised, plain)]
        ctx.mark_non_differentiable(sums[1], plain)
        return sums[0], sums[1], plain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        # In place: these gradients were made for this one call, and a copy of the matrix's would be as large as the matrix.
        scaled = [None if grad is None else grad.mul_(grads[0]) for grad in ctx.saved_tensors]
        return (*scaled, None, None, None, None)


class _Gradients:
    """Gradients of the summed loss with respect to hidden states, matrix and bias, those that are wanted."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, wanted: tuple[bool, ...]) -> None:
        self.inputs = hidden
        self.hidden = hidden.new_empty(hidden.shape) if wanted[0] else None
        # The first rows write it, the others add to it.
        self.weight: Tensor | None = None
        self.wants_weight = wanted[1]
        self.shape = weight.shape
        self.bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and wanted[2] else None
        self.dtypes = weight.dtype, None if bias is None else bias.dtype

    def add(self, part: slice, slopes: Tensor, *, pad: _Pad, weights: Tensor) -> None:
        """Count the rows `part`, whose losses have these slopes with respect to their logits."""
        if self.bias is not None:
            self.bias += torch.mv(slopes.T, weights)
        if self.hidden is None and not self.wants_weight:
            return
        low = pad.lowered(slopes)
        if self.hidden is not None:
            pad.matrix.gathered(low, out=self.hidden[part])
        if self.wants_weight:
            self.weight = pad.matrix.add_gradient(self.weight, low, self.inputs[part] * weights[:, None].to(low.dtype))

    def finished(self, weights: Tensor) -> tuple[Tensor | None, ...]:
        """All three in the dtypes of what they belong to."""
        hidden = None if self.hidden is None else self.hidden.mul_(weights[:, None])
        if self.wants_weight and self.weight is None:  # of no rows at all
            self.weight = weights.new_zeros(self.shape)
        sums = zip((self.weight, self.bias), self.dtypes, strict=True)
        return hidden, *(None if found is None else found.to(dtype) for found, dtype in sums)


def _plain(logits: Tensor, probabilities: Tensor, *, targets: Tensor) -> Tensor:
    """Minus log-probability of each target. The probabilities are there already; the few too small for a float32 logarithm
    are taken from the logits instead, so that hopeless tokens keep their true loss."""
    chosen = probabilities.gather(1, targets[:, None]).squeeze(1)
    losses = chosen.log().neg_()
    tiny = (chosen < 1e-30).nonzero().squeeze(1)
    far = logits[tiny].float()
    losses[tiny] = far.logsumexp(dim=-1) - far.gather(1, targets[tiny, None]).squeeze(1)
    return losses


def _bent(logits: Tensor, probabilities: Tensor, *, plain: Tensor, targets: Tensor, extras: _Extras) -> Tensor:
    """The optimised loss of each token. Turns its probabilities, in place, into the slopes of that loss."""
    smoothing, z_loss = extras
    losses, wanted = plain, targets[:, None]
    if any(extras):
        total = plain + logits.gather(1, wanted).squeeze(1).float()  # logsumexp
        spread = total - logits.mean(dim=1, dtype=torch.float32) if smoothing else 0.0
        losses = (1 - smoothing) * plain + smoothing * spread + z_loss * total.square()
        probabilities.mul_((1 + 2 * z_loss * total)[:, None]).sub_(smoothing / logits.shape[1])
    probabilities.scatter_add_(1, wanted, torch.full_like(probabilities[:, :1], smoothing - 1.0))
    return losses


def chunked_cross_entropy(  # noqa: PLR0913 - one formula
    hidden: Float[Tensor, "n d"],
    weight: Float[Tensor, "v d"],
    *,
    targets: Int[Tensor, " n"],
    weights: Float[Tensor, " n"],
    bias: Float[Tensor, " v"] | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    chunk: int | None = None,
) -> TokenLoss:
    """Weighted sum of losses in nats; at most `chunk` rows of logits exist at a time (default: 512, fewer only of fewer).

    With logits z = W h + bias, s the label smoothing and c the coefficient of the z-loss, a token costs

        logsumexp(z) - (1 - s) z[target] - s mean(z) + c logsumexp(z)^2

    that is, cross-entropy against (1 - s) onehot + s / v, https://arxiv.org/abs/1512.00567, and a pull of the normaliser
    towards 1, https://arxiv.org/abs/2204.02311. A token of weight 0 adds nothing to a sum or a gradient, whatever its target.
    """
    rows = chunk or _rows(weight.shape[0], weight.device)
    apply: Any = _SummedLoss.apply  # untyped in torch
    return TokenLoss(*apply(hidden, weight, bias, targets, weights, _Extras(label_smoothing, z_loss), rows))


@torch.no_grad()
def token_logprobs(
    hidden: Float[Tensor, "n d"],
    weight: Float[Tensor, "v d"],
    *,
    targets: Int[Tensor, " n"],
    bias: Float[Tensor, " v"] | None = None,
    chunk: int | None = None,
) -> Float[Tensor, " n"]:
    """Log-probability of each target in nats, float32; at most `chunk` rows of logits exist at a time (default: 512)."""
    rows = chunk or _rows(weight.shape[0], weight.device)
    pad = _Pad(hidden, weight, bias, rows=rows)
    out = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
    for start in range(0, len(hidden), rows):
        part = slice(start, start + rows)
        logits = pad.logits_of(hidden[part]).float()
        out[part] = logits.gather(1, targets[part, None]).squeeze(1) - logits.logsumexp(dim=-1)
    return out
