"""Functions to map over tasks, importable by name in worker processes."""

import os
import signal

from whorl.core.errors import ConfigError


def double(n: int) -> int:
    return 2 * n


def process_number(_: int) -> int:
    return os.getpid()


def fails_at_three(n: int) -> int:
    if n == 3:
        raise ValueError("three is too many")
    return n


def refuses(_: int) -> int:
    raise ConfigError("not like this")


def dies(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
