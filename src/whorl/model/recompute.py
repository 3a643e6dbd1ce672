"""model/recompute: blocks that forget what they computed and compute it again when gradients are wanted.

`full` keeps only what enters a block. `selective` keeps besides what was dear to make: products with weights and the results
of fused attention; norms, turns, activations and attention written out as products are made again. Both give the gradients of
`none` to the bit, dropout included, because the second pass draws what the first one drew. Parameters keep their names.
Does not count what it costs (model/recomputation) and does nothing where no gradient is asked for.

https://arxiv.org/abs/1604.06174; selective: https://arxiv.org/abs/2205.05198
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from whorl.model.attention import Sight
from whorl.model.recomputation import Recompute
from whorl.model.transformer import Transformer

__all__ = ["Recompute", "recompute"]

_Forward = Callable[[Tensor, Sight], Tensor]

# Measured on one core in bf16, 8 blocks of width 384, rows of 512 (2026-11-21), memory of activations and CPU-seconds of a step
# against `none`: this 44 % and 1.17; the feed-forward alone forgotten 53 % and 1.15; every second block 53 % and 1.17; full
# 6 % and 1.33. Keeping attention's own products too saves no time: they are as large as what they are made into.
_KEPT = frozenset(
    {
        "aten.mm.default",
        "aten.addmm.default",
        "aten._grouped_mm.default",
        "aten._scaled_mm.default",
        "whorl.product.default",  # model/maps
        "aten._scaled_dot_product_flash_attention_for_cpu.default",
        "aten._scaled_dot_product_flash_attention.default",
        "aten._scaled_dot_product_efficient_attention.default",
        "aten._scaled_dot_product_cudnn_attention.default",
        "torch_attn._varlen_attn.default",
        "flex_attention",
    }
)


def recompute(model: Transformer, mode: Recompute) -> None:
    """From now on every block of the model runs in this mode; `none` undoes it. Comes before compile_blocks."""
    for block in model.blocks:
        vars(block).pop("forward", None)  # back to the class's own
        if mode != "none":
            again: Any = partial(_WAYS[mode], block.forward)  # an attribute where mypy sees a method
            block.forward = again


def _full(forward: _Forward, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
    if not torch.is_grad_enabled():
        return forward(x, sight)
    out: Tensor = checkpoint(forward, x, sight, use_reentrant=False)
    return out


def _selective(forward: _Forward, x: Float[Tensor, "b t d"], sight: Sight) -> Float[Tensor, "b t d"]:
    if not torch.is_grad_enabled():
        return forward(x, sight)
    contexts = partial(create_selective_checkpoint_contexts, _policy)
    out: Tensor = checkpoint(forward, x, sight, use_reentrant=False, context_fn=contexts)
    return out


_WAYS: Mapping[str, Callable[[_Forward, Tensor, Sight], Tensor]] = {"full": _full, "selective": _selective}


def _policy(ctx: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:  # noqa: ANN401 - called by torch
    del ctx, args, kwargs
    return CheckpointPolicy.MUST_SAVE if str(op) in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE
