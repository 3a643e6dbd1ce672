"""A member that outgrew its file."""

from toy_shop.filters.grown.rules import Grown as Grown
