"""Its dotted name begins with another member's."""

from toy_shop.broken import Broken


class Longer(Broken):
    """A good member."""
