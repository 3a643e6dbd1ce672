"""cli/offline: close this process, and every Python process it starts, to all machines but this one.

An audit hook (https://peps.python.org/pep-0578/) sees every socket that Python opens, whichever library opens it, and cannot be
taken off again. Does not see sockets opened by compiled code without Python's help.
"""

import ipaddress
import os
import sys
from functools import cache

from whorl.core.errors import ResourceError

__all__ = ["SWITCHES", "forbid", "is_local"]

# WHORL_OFFLINE closes our own child processes (see whorl/__init__); the others are what libraries below us listen to.
SWITCHES = {"WHORL_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

_BY_ADDRESS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_BY_NAME = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")


def forbid() -> None:
    """From now on connecting to or looking up anything else raises ResourceError. Calling it again changes nothing."""
    os.environ.update(SWITCHES)
    _install()


def is_local(host: object) -> bool:
    """Whether a host name or address means this machine: loopback, the wildcard, or the path of a Unix socket."""
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    if text in ("", "localhost") or "/" in text or text.startswith("\0"):
        return True
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in _BY_ADDRESS:
        _check(event, arguments[1])
    elif event in _BY_NAME:
        _check(event, arguments[0])


@cache
def _install() -> None:
    sys.addaudithook(_hook)


def _check(event: str, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else address
    if not is_local(host):
        raise ResourceError(
            f"--offline: something wanted to reach '{host}' ({event}); run without --offline, or take what needs it out "
            "of the recipe"
        )
