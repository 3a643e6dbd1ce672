"""No class at all; what it imports from a module with a longer name does not count."""

from toy_shop.broken.none_but_longer import Longer as Longer
