"""core/log: one logger for the house, writing `level room: message` to standard error.

Does not record runs (that is core/events) and is never parsed by anything.
"""

import logging
import sys

__all__ = ["logger", "set_level"]

_ROOT = "whorl"


def logger(room: str) -> logging.Logger:
    """The logger of a room, e.g. `logger("corpus")`."""
    return logging.getLogger(f"{_ROOT}.{room}")


def set_level(level: str) -> None:
    """Attach one handler to standard error and set the level (`warning`, `info`, `debug`) of the whole house."""
    root = logging.getLogger(_ROOT)
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.propagate = False
    root.setLevel(level.upper())
