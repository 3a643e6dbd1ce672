"""A second door."""

from whorl.core.config import Member


class Suite(Member, is_door=True):
    """Asks questions."""
