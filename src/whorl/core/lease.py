"""core/lease: who may write an unfinished artifact, with a heartbeat and a fencing token.

One small file per artifact holds the owner and a number that grows with every owner. A lock on it (flock) makes reading and
changing it one step, so an owner that was declared dead finds out before it publishes. Works on one file system.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from whorl.core.errors import ArtifactError

__all__ = ["HEARTBEAT_S", "STALE_S", "Lease", "Owner"]

HEARTBEAT_S = 2.0
STALE_S = 30.0  # fifteen missed heartbeats: longer than any pause of a healthy writer seen so far


@dataclass(frozen=True)
class Owner:
    """The process that holds a lease."""

    host: str
    pid: int
    started: str  # process start time from the kernel, so that a reused pid is not mistaken for its predecessor
    token: int
    beat: float  # seconds since the epoch

    @classmethod
    def me(cls, token: int) -> "Owner":
        """This process, beating now."""
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()), token, time.time())

    @property
    def is_alive(self) -> bool:
        """Whether the owner can still be writing: known dead on this host, else judged by its heartbeat."""
        if self.host == socket.gethostname():
            return self.pid > 0 and _started(self.pid) == self.started
        return time.time() - self.beat < STALE_S


@dataclass
class Lease:
    """Exclusive right to write one artifact; a context manager that keeps its own heartbeat.

    Raises ArtifactError on entry when a live process holds it.
    """

    path: Path
    token: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as owner:
            if owner is not None and owner.pid and owner.is_alive:
                raise ArtifactError(
                    f"{self.path.stem}: being written by process {owner.pid} on {owner.host} "
                    f"(last heartbeat {max(0.0, time.time() - owner.beat):.0f} s ago); wait for it or stop it"
                )
            self.token = (owner.token if owner else 0) + 1
            self._write(Owner.me(self.token))
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        assert self._thread is not None, "entered before it is left"
        self._thread.join()
        with self._locked() as owner:
            if owner is not None and owner.token == self.token:
                self._write(Owner("", 0, "", self.token, 0.0))  # released; the token must keep growing

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """Hold the lock while publishing. Raises ArtifactError when the lease has passed to another writer."""
        with self._locked() as owner:
            if owner is None or owner.token != self.token or owner.pid != os.getpid():
                raise ArtifactError(
                    f"{self.path.stem}: this writer (token {self.token}) lost its lease to token "
                    f"{owner.token if owner else '?'}; its output is not published"
                )
            yield

    def _keep_beating(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with self._locked() as owner:
                if owner is None or owner.token != self.token:
                    return  # fenced() will say so
                self._write(Owner.me(self.token))

    @contextmanager
    def _locked(self) -> Iterator[Owner | None]:
        with self.path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            yield self._parsed(handle.read().decode(errors="replace"))

    def _parsed(self, text: str) -> Owner | None:
        if not text:
            return None
        try:
            # Only the first object: an owner killed between writing and truncating leaves the end of the older text.
            return Owner(**json.JSONDecoder().raw_decode(text)[0])
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"{self.path}: unreadable lease ({error}); if nothing is running here, delete it") from error

    def _write(self, owner: Owner) -> None:
        # In place, under the lock: replacing the file would leave the lock on an unlinked one.
        with self.path.open("r+b") as handle:
            handle.write(json.dumps(asdict(owner)).encode())
            handle.truncate()


def _started(pid: int, proc: Path = Path("/proc")) -> str:
    """Start time of a process in clock ticks since boot; empty when it does not exist or is a zombie.

    Where there is no /proc, a process that exists is `unknown`.
    """
    if not (proc / "self").exists():
        return "unknown" if _exists(pid) else ""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
