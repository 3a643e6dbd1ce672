"""Keeps texts with enough words."""

from pydantic import Field

from toy_shop.filters import Filter


class MinWords(Filter):
    """Keeps texts with at least `limit` words."""

    limit: int = Field(default=50, gt=0)

    def keeps(self, text: str) -> bool:
        return len(text.split()) >= self.limit


class _Hidden(MinWords):
    """Private classes are not members."""
