"""core/errors: the five errors a caller may catch, and the exit code each one ends a command with.

A message says what failed, where, what was got, what was wanted and what to try. Faults of our own are asserts, not these.
"""

from difflib import get_close_matches
from typing import ClassVar

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "ResourceError",
    "UsageError",
    "WhorlError",
    "suggestion",
]


class WhorlError(Exception):
    """Common parent of the five; never raised itself."""

    exit_code: ClassVar[int] = 1


class ConfigError(WhorlError):
    """A recipe or a setting is wrong."""

    exit_code: ClassVar[int] = 3


class UsageError(WhorlError):
    """A command was called in a way that cannot mean anything."""

    exit_code: ClassVar[int] = 3


class DataError(WhorlError):
    """Something read from outside is malformed, empty where it may not be, or inconsistent."""


class ArtifactError(WhorlError):
    """A finished folder is missing, unfinished, altered, or held by somebody else."""


class ResourceError(WhorlError):
    """The machine lacks something: memory, disk, an extra package, a device, a process that died."""


def suggestion(got: str, known: list[str] | tuple[str, ...]) -> str:
    """A clause naming the nearest known word, or the whole list when nothing is near: `; did you mean 'x'?`."""
    near = get_close_matches(got, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(sorted(known))}" if known else ""
