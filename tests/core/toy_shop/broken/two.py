"""Two public classes."""

from toy_shop.broken import Broken


class One(Broken):
    """The first."""


class Two(Broken):
    """The second."""
