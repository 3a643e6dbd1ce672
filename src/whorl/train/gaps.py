"""train/gaps: the loss of filling gaps: only places with a target reach the head, which is most of a small model's work.

Does not hide tokens: that is train/masking.
"""

from jaxtyping import Float
from torch import Tensor

from whorl.model.cross_entropy import chunked_cross_entropy
from whorl.model.transformer import Transformer
from whorl.train.data import Rows

__all__ = ["gap_nats"]


def gap_nats(model: Transformer, hidden: Float[Tensor, "n d"], rows: Rows) -> Float[Tensor, ""]:
    """Sum of weight x cross-entropy (nats, float32) over the rows' targets, from the hidden states of all their places.

    Waits for the device once, to learn how many there are; the head would otherwise read several times as many places.
    """
    weights = rows.weights.flatten()
    chosen = weights.nonzero().squeeze(1)
    found = chunked_cross_entropy(
        model.before_head(hidden[chosen]),
        model.head_weight,
        targets=rows.targets.flatten()[chosen],
        weights=weights[chosen],
        bias=model.head_bias,
    )
    return found.total
