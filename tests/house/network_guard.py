"""Keeps tests on this machine: looking up or connecting to anything else is an error, even where the code swallows it."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


@contextmanager
def no_network() -> Iterator[None]:
    """Refuse the network inside the block; raises AssertionError at its end when something tried."""
    attempts: list[str] = []

    def guarded(owner: Any, name: str, where: int) -> Any:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not is_local(args[where]):
                attempts.append(f"{name}({args[where]!r})")
                raise OSError(f"tests may not use the network: {attempts[-1]}")
            return original(*args, **kwargs)

        return patch.object(owner, name, call)

    with (
        guarded(socket, "getaddrinfo", 0),
        guarded(socket.socket, "connect", 1),
        guarded(socket.socket, "connect_ex", 1),
        guarded(socket.socket, "sendto", -1),
    ):
        yield
    assert not attempts, f"the test used the network: {', '.join(attempts)}"


def is_local(address: Any) -> bool:
    """Whether a socket address or a host name means this machine: loopback, the wildcard or the path of a Unix socket."""
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else str(host or "")
    if host in ("", "localhost") or "/" in host or host.startswith("\0"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
