"""train/nats: summed cross-entropy of packed rows under a model, with gradients or without.

Does not divide: what a sum is spread over (targets, bytes) is the caller's.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.model.cross_entropy import chunked_cross_entropy, token_logprobs
from whorl.model.mask import MaskSpec
from whorl.model.transformer import Transformer
from whorl.train.data import Rows

__all__ = ["hidden_states", "summed_nats", "watched_nats"]


def hidden_states(model: Transformer, rows: Rows) -> Float[Tensor, "n d"]:
    """Final hidden states of all places of the rows, row after row; documents see only themselves."""
    spec = MaskSpec(docs=rows.docs)
    hidden: Tensor = model(rows.ids, mask=spec, positions=rows.positions, segments=rows.segments)  # b t d
    return hidden.flatten(0, 1)


def summed_nats(model: Transformer, rows: Rows, *, label_smoothing: float = 0.0, z_loss: float = 0.0) -> Float[Tensor, ""]:
    """Sum of weight x cross-entropy (nats, float32) over the rows' targets; where the weight is 0 nothing is added.

    With label smoothing or z-loss (see chunked_cross_entropy) it still reads as plain nats, so that runs can be compared, but
    its gradient is that of the smoothed sum.
    """
    found = chunked_cross_entropy(
        model.before_head(hidden_states(model, rows)),
        model.head_weight,
        targets=rows.targets.flatten(),
        weights=rows.weights.flatten(),
        bias=model.head_bias,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
    )
    return found.nats + (found.total - found.total.detach())


@torch.no_grad()
def watched_nats(model: Transformer, rows: Rows, *, end: int) -> Float[Tensor, ""]:
    """The same without gradients (a third of the cost), and without the targets `end`, which are no text."""
    targets, is_text = rows.targets.flatten(), (rows.targets != end).flatten()
    ready = model.before_head(hidden_states(model, rows))
    logprobs = token_logprobs(ready, model.head_weight, targets=targets, bias=model.head_bias)
    weights = rows.weights.flatten() * is_text
    return -torch.where(weights > 0, logprobs * weights, 0.0).sum()
