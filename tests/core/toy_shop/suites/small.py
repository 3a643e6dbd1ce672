"""Asks few questions."""

from toy_shop.suites import Suite


class Small(Suite):
    """Asks `size` questions."""

    size: int
