"""A door whose members break the rules."""

from whorl.core.config import Member


class Broken(Member, is_door=True):
    """Never found."""
