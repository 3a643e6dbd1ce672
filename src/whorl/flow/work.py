"""flow/work: carry out one stage: take the lease, open the draft, run, publish. Runs in this process or as one of its own.

As a process (`python -m whorl.flow.work`) it reads a WorkOrder as JSON from standard input and writes events as JSON lines to
standard output. SIGTERM asks the stage to save and stop.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from whorl.core.artifact import Artifact, Draft, Identity, Store
from whorl.core.errors import WhorlError
from whorl.core.events import Event, Events
from whorl.core.lease import Lease
from whorl.core.pool import local_pool
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage, Stopped, StopSignal
from whorl.flow.resolve import source_digest

__all__ = ["WorkOrder", "carry_out"]

STOPPED_EXIT = 75  # EX_TEMPFAIL: saved, run again to go on


@dataclass(frozen=True)
class WorkOrder:
    """Everything a worker needs to know about one stage; plain values only, so that it can travel."""

    root: str  # project folder
    name: str
    stage: dict[str, Any]  # plain config with `use`
    inputs: dict[str, tuple[str, str]]  # reference target -> (kind, fingerprint)
    seed: int
    identity: dict[str, Any] | None  # None: measure pins instead of running
    parents: dict[str, Any] = field(default_factory=dict)
    trust: tuple[str, ...] = ()
    workers: int = 0

    def to_json(self) -> str:
        """One JSON line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "WorkOrder":
        """Parse what to_json wrote."""
        value = json.loads(text)
        value["inputs"] = {target: (kind, fingerprint) for target, (kind, fingerprint) in value["inputs"].items()}
        return cls(**{**value, "trust": tuple(value["trust"])})


def carry_out(order: WorkOrder, sinks: list[Callable[[Event], None]], stop: StopSignal) -> None:
    """Run the stage and publish what it made, or measure its pins. Events tell what came out.

    Raises Stopped when asked to stop, and the errors of the stage.
    """
    began = time.monotonic()
    events = Events(order.name, sinks)
    stage = Stage.model_validate(order.stage, context={"trust": order.trust})
    store = Store(Path(order.root) / ".whorl")
    inputs = {target: store.open(kind, fingerprint) for target, (kind, fingerprint) in order.inputs.items()}
    if order.identity is None:
        _measure_pins(order, stage, inputs, events, stop)
        return
    identity = Identity(**order.identity)
    with ExitStack() as held:
        leases = {kind: held.enter_context(store.lease(kind, identity.fingerprint)) for kind in _kinds(stage)}
        finished = store.find(stage.makes, identity.fingerprint)
        if finished is not None:  # by another run, while this one was on its way here
            events.emit("stage_cached", fingerprint=finished.fingerprint, counts=finished.counts)
            return
        drafts = _drafts(store, identity.fingerprint, leases)
        was_begun = any(drafts[0].folder.iterdir())
        job = _job(order, stage, inputs, events, stop, drafts)
        counts = dict(stage.run(job))
        for draft in reversed(drafts):  # siblings first: the artifact itself says that all is there
            artifact = draft.publish(identity, counts=counts, parents=order.parents, source_digest=source_digest(stage))
    events.emit(
        "stage_finished",
        use=stage.use,
        artifact_kind=artifact.kind,
        fingerprint=artifact.fingerprint,
        content=artifact.content,
        counts=counts,
        seconds=time.monotonic() - began,
        cpu_seconds=_cpu_seconds(),
        memory_bytes=_peak_rss_bytes(),
        disk_bytes=artifact.size_bytes,
        work=stage.work(inputs),
        resumed=was_begun,
    )


def _kinds(stage: Stage) -> tuple[str, ...]:
    """What the stage makes, the artifact itself first."""
    return (type(stage).makes, *type(stage).also_makes)


def _drafts(store: Store, fingerprint: str, leases: Mapping[str, Lease]) -> list[Draft]:
    drafts = []
    for kind, lease in leases.items():
        left = store.find(kind, fingerprint)
        if left is not None:  # a sibling, published by a run that died before the artifact itself
            store.remove(left)
        drafts.append(store.draft(kind, fingerprint, lease))
    return drafts


def _job(
    order: WorkOrder,
    stage: Stage,
    inputs: Mapping[str, Artifact],
    events: Events,
    stop: StopSignal,
    drafts: list[Draft],
) -> Job:
    return Job(
        name=order.name,
        root=Path(order.root),
        folder=drafts[0].folder,
        inputs=inputs,
        seed=Seed(order.seed).child(stage.use),  # not the stage's name: a rename must not change what comes out
        events=events,
        pool=local_pool(order.workers),
        shards=ShardCache(Path(order.root) / ".whorl"),
        stop=stop,
        siblings={draft.kind: draft.folder for draft in drafts[1:]},
    )


def _measure_pins(order: WorkOrder, stage: Stage, inputs: Mapping[str, Artifact], events: Events, stop: StopSignal) -> None:
    folder = Path(order.root) / ".whorl" / "cache" / "pin" / order.name
    folder.mkdir(parents=True, exist_ok=True)
    draft = Draft("state", "", folder, folder, Store(folder).lease("state", order.name))
    pins = stage.pin(_job(order, stage, inputs, events, stop, [draft]))
    events.emit("pinned", pins=dict(pins))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime + children.ru_utime + children.ru_stime


def _peak_rss_bytes() -> int:
    """Highest resident memory of this process. getrusage would count what the parent held when it started us."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it dies, so that a killed run holds no lease."""
    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _line_sink(out: TextIO) -> Callable[[Event], None]:
    def send(event: Event) -> None:
        out.write(json.dumps(event, default=str) + "\n")
        out.flush()

    return send


def main() -> int:
    """Entry of the worker process; returns its exit code."""
    _die_with_parent()
    # Whatever a library prints must not mix with the events: keep the pipe, and let standard output be standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    stop = StopSignal()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: stop.flag.set())
    send = _line_sink(out)
    order = WorkOrder.from_json(sys.stdin.read())
    try:
        carry_out(order, [send], stop)
    except Stopped as stopped:
        Events(order.name, [send]).emit("stage_stopped", message=str(stopped))
        return STOPPED_EXIT
    except WhorlError as error:
        Events(order.name, [send]).emit("stage_failed", error=type(error).__name__, message=str(error))
        return error.exit_code
    except Exception:  # noqa: BLE001 - the parent reports it; the traceback goes with it
        Events(order.name, [send]).emit("stage_failed", error="bug", message=traceback.format_exc())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
