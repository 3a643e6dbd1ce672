"""model/flex: attention that skips blocks of keys no query of the block sees: torch's FlexAttention.

Compiled on a GPU (not measured). On a CPU it runs forward only and as written, with all scores at once: for comparison, not for
speed. Prepares one BlockMask per batch and kind of layer.

https://arxiv.org/abs/2412.05496
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from whorl.core.errors import ResourceError
from whorl.model.mask import Scene

__all__ = ["FlexAttend", "flex_fault"]

_Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def flex_fault(device: torch.device) -> str:
    """Why gradients cannot be had on this device; empty when they can."""
    return "FlexAttention has no backward pass on a CPU" if device.type == "cpu" else ""


class FlexAttend:
    """See model/attend.Attend."""

    def prepare(self, scene: Scene, *, heads: int, kv_heads: int, dtype: torch.dtype) -> BlockMask:
        """Which blocks of 128 queries see which blocks of 128 keys, and the rule inside those seen in part."""
        del heads, kv_heads, dtype
        docs = scene.rules.docs
        rows = None if docs is None else len(docs)
        return create_block_mask(_rule(scene), rows, None, scene.num_queries, scene.num_keys, device=str(scene.device))

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: BlockMask
    ) -> Float[Tensor, "b h t c"]:
        """The attended values. Raises ResourceError where gradients are wanted and cannot be had."""
        fault = flex_fault(q.device)
        if fault and torch.is_grad_enabled() and q.requires_grad:
            raise ResourceError(f"attention backend 'flex': {fault}; want attention: sdpa, or auto")
        out: Tensor = _run(q.device.type)(q, k, v, block_mask=mask, enable_gqa=q.shape[1] != k.shape[1])
        return out


def _rule(scene: Scene) -> _Rule:
    """The scene as a question about one query and one key; what the rules do not say is not asked."""
    rules, past = scene.rules, scene.past
    assert rules.causal is not None, "who knows the model says whether it looks ahead"
    causal, window, docs, key_docs = rules.causal, rules.window, rules.docs, scene.key_docs

    def sees(b: Tensor, h: Tensor, q: Tensor, s: Tensor) -> Tensor:
        del h
        behind = q + past - s  # how far the key lies behind the query
        seen = behind >= 0 if causal else s >= 0
        if window is not None:
            seen = seen & (behind.abs() < window)
        if docs is not None and key_docs is not None:
            seen = seen & (docs[b, q] == key_docs[b, s])
        return seen

    return sees


@cache
def _run(device: str) -> Callable[..., Any]:
    if device != "cpu":
        compiled: Callable[..., Any] = torch.compile(flex_attention, dynamic=False)
        return compiled
    return _as_written


def _as_written(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - torch's own signature
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        return flex_attention(*args, **kwargs)
