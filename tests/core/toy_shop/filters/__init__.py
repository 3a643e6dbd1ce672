"""A door; to add a filter, add a file with one class."""

from abc import abstractmethod

from whorl.core.config import Member


class Filter(Member, is_door=True):
    """Says which texts to keep."""

    @abstractmethod
    def keeps(self, text: str) -> bool:
        """Whether the text stays."""
