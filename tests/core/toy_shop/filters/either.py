"""Keeps what any of several filters keeps."""

from toy_shop.filters import Filter


class Either(Filter):
    """Filters inside a filter."""

    of: tuple[Filter, ...]

    def keeps(self, text: str) -> bool:
        return any(filter_.keeps(text) for filter_ in self.of)
