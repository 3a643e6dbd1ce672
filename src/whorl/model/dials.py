"""model/dials: the arithmetic that turns one dial, depth, into a shape; each rule stands next to its reason.

Every result is only a default: a recipe may set any of them. Does not know families.
"""

from whorl.core.errors import ConfigError

__all__ = ["head_dim_for", "heads_for", "mlp_width_for", "width_for"]

MULTIPLE = 64  # matrix kernels run at full speed on multiples of this


def width_for(depth: int) -> int:
    """64 channels per block: loss hardly moves between 30 and 100 (https://arxiv.org/abs/2001.08361, figure 5)."""
    return 64 * depth


def head_dim_for(width: int) -> int:
    """64 channels a head, 128 from width 1024 on: fewer, wider heads cost less and lose nothing until heads get few."""
    return 64 if width < 1024 else 128


def heads_for(width: int, head_dim: int) -> int:
    """As many heads as fill the width. Raises ConfigError when they do not."""
    if width % head_dim:
        raise ConfigError(f"width={width} is not a multiple of head_dim={head_dim}; set heads and head_dim, or another width")
    return width // head_dim


def mlp_width_for(width: int) -> int:
    """8/3 of the width, rounded up: three matrices then hold what two of 4x would (https://arxiv.org/abs/2002.05202)."""
    return -(-8 * width // (3 * MULTIPLE)) * MULTIPLE
