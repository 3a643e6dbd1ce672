"""measure/bits: bits per byte, the figure that lets models with different vocabularies, and no model at all, be compared.

Does not decide which tokens count: callers leave out markers that are not part of the text.
"""

import math

__all__ = ["bits_per_byte"]


def bits_per_byte(total_nats: float, num_bytes: float) -> float:
    """Negative log-likelihood of a text in nats, spread over its UTF-8 bytes and turned into bits (log 2)."""
    if num_bytes <= 0:
        raise ValueError(f"num_bytes={num_bytes}: want a text of at least one byte")
    return total_nats / math.log(2) / num_bytes
