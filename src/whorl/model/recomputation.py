"""model/recomputation: how much arithmetic activation checkpointing adds to a step.

Matrices and attention products only, as model/count counts them. Does not checkpoint.
"""

from typing import Literal

from whorl.model.config import ModelConfig
from whorl.model.count import flops_per_token

__all__ = ["Recompute", "recomputed_flops_per_token"]

Recompute = Literal["none", "selective", "full"]


def recomputed_flops_per_token(
    config: ModelConfig, width: int, recompute: Recompute, *, writes_out_attention: bool = False
) -> int:
    """Floating-point operations per token that are done a second time, in rows of `width` tokens.

    `full` runs every block forward again: a third of what blocks cost. `selective` keeps the products with weights and what
    fused attention gave; attention that `writes_out` its products makes them again. The loss keeps its gradients instead of
    its logits.
    """
    if recompute == "none":
        return 0
    if recompute == "selective":
        return _attention(config, width) if writes_out_attention else 0
    head = 6 * config.width * (config.vocab_size + (config.width if config.head_transform else 0))
    return round((flops_per_token(config, width) - head) / 3)


def _attention(config: ModelConfig, width: int) -> int:
    """Forward products of attention: what grows with the length of a row, and what it is in rows of one token."""
    alone = 4 * config.depth * config.heads * config.head_dim
    return round((flops_per_token(config, width) - flops_per_token(config, 1)) / 3) + alone
