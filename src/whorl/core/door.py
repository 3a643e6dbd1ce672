"""core/door: find the member of an open folder by its file name.

A door is a package whose `__init__` defines one abstract config class; each other module in it is a member, and the
file name is the member's public name. Nothing registers itself: the folder is the list. Packages outside the house join
through entry points of the door's dotted name, or by `pkg.mod:Class` when the caller trusts `pkg`.
"""

import importlib
import pkgutil
from collections.abc import Collection
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec

from whorl.core.errors import ConfigError, suggestion

__all__ = ["find_class", "load", "member_class", "member_names"]


def load(dotted: str) -> object:
    """The object behind `package.module:attribute`, or the module when there is no colon.

    This is how upper layers reach what they may not import.
    """
    module_name, _, attribute = dotted.partition(":")
    module = importlib.import_module(module_name)
    return getattr(module, attribute) if attribute else module


@lru_cache(maxsize=256)
def member_names(package: str) -> tuple[str, ...]:
    """Public names behind a door, sorted: its own files and entry points. Imports the door, not its members."""
    return tuple(sorted(_own_names(package) | {point.name for point in entry_points(group=package)}))


@lru_cache(maxsize=256)
def _own_names(package: str) -> frozenset[str]:
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return frozenset(info.name for info in pkgutil.iter_modules(folders) if not info.name.startswith("_"))


def member_class(package: str, use: str, parent: type, *, trust: Collection[str] = ()) -> type:
    """The class named `use` behind the door `package`.

    Raises ConfigError when nothing has that name (with the nearest one), when an outside class is not trusted, or when a
    file does not define exactly one subclass of `parent`.
    """
    if ":" in use:
        is_announced = any(point.value == use for point in entry_points(group=package))
        return _outside_class(use, parent, {*trust, use.partition(":")[0].partition(".")[0]} if is_announced else trust)
    if use not in member_names(package):
        raise ConfigError(f"no '{use}' behind {package}{suggestion(use, member_names(package))}")
    announced = [point.value for point in entry_points(group=package) if point.name == use]
    claims = [*announced, *([f"{package}.{use}"] if use in _own_names(package) else [])]
    if len(claims) > 1:
        raise ConfigError(f"'{use}' behind {package} is claimed by {', '.join(claims)}; uninstall all but one")
    return _checked(announced[0], parent) if announced else find_class(f"{package}.{use}", parent)


def find_class(module_name: str, parent: type) -> type:
    """The one subclass of `parent` that the module defines itself."""
    module = importlib.import_module(module_name)
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, parent)
        and f"{value.__module__}.".startswith(f"{module_name}.")
        and not value.__name__.startswith("_")
    ]
    if len(own) != 1:
        names = ", ".join(c.__name__ for c in own) or "none"
        raise ConfigError(f"{module_name}: want exactly one public subclass of {parent.__name__}, got {names}")
    return own[0]


def _outside_class(use: str, parent: type, trust: Collection[str]) -> type:
    package = use.partition(":")[0].partition(".")[0]
    if package not in trust:
        raise ConfigError(f"'{use}' is code from outside the house; if you trust it, pass --trust {package}")
    return _checked(use, parent)


def _checked(use: str, parent: type) -> type:
    try:
        found = load(use)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"'{use}' cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, parent)):
        raise ConfigError(f"'{use}' is not a {parent.__name__}")
    return found
