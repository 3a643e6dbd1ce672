"""infer/rolling: log-probabilities of a text longer than the context, in overlapping windows.

Every token after the first is scored exactly once, having seen at least `width - stride` tokens before it, or all there are.
"""

from collections.abc import Sequence

import numpy as np

from whorl.core.errors import UsageError
from whorl.infer.engine import Engine

__all__ = ["rolling_logprobs"]


def rolling_logprobs(engine: Engine, ids: Sequence[int], *, width: int, stride: int) -> np.ndarray:
    """Nats of `ids[1:]`, float32. Windows hold `width` tokens; each after the first scores its last `stride` of them.

    Raises UsageError when the window does not fit the context or the stride leaves no token to see.
    """
    if not 2 <= width <= engine.model.config.max_positions:
        raise UsageError(f"width={width}; want 2 to {engine.model.config.max_positions}, the model's context")
    if not 1 <= stride < width:
        raise UsageError(f"stride={stride}; want 1 to {width - 1}, so that every token sees one before it")
    ends = [min(end, len(ids)) for end in range(min(width, len(ids)), len(ids) + stride, stride)]
    scores = engine.score([ids[max(0, end - width) : end] for end in ends])
    fresh = np.diff([1, *ends])  # tokens each window is the first to score
    return np.concatenate([score[len(score) - count :] for score, count in zip(scores, fresh, strict=True)])
