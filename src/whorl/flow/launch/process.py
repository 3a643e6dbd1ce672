"""flow/launch/process: carry a stage out in a process of its own: its memory is measured, its death is survived."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from whorl.core import errors
from whorl.core.config import worker_environment
from whorl.core.errors import ResourceError, WhorlError
from whorl.core.events import Event
from whorl.core.stage import Stopped, StopSignal
from whorl.flow.launch import Launcher
from whorl.flow.work import STOPPED_EXIT, WorkOrder

__all__ = ["Process"]


class Process(Launcher):
    """The stage runs as `python -m whorl.flow.work` and dies with this process."""

    def launch(self, order: WorkOrder, on_event: Callable[[Event], None], stop: StopSignal) -> None:
        """See Launcher.launch."""
        # -P: a file in the user's folder must not stand in for a module. A group of its own: Ctrl-C in the terminal reaches
        # this process alone, which asks the stage to save.
        command = [sys.executable, "-P", "-m", "whorl.flow.work"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=worker_environment(), process_group=0) as child:
            try:
                last = _follow(child, order, on_event, stop)
            except BaseException:
                child.kill()  # leaving the block waits for it
                raise
        code = child.returncode
        _raise_for(order.name, code, last)


def _follow(child: "subprocess.Popen[str]", order: WorkOrder, on_event: Callable[[Event], None], stop: StopSignal) -> Event:
    assert child.stdin is not None, "asked for a pipe"
    assert child.stdout is not None, "asked for a pipe"
    child.stdin.write(order.to_json())
    child.stdin.close()
    threading.Thread(target=_pass_on_stop, args=(child, stop), daemon=True).start()
    last: Event = {}
    for line in child.stdout:
        last = json.loads(line)
        on_event(last)
    return last


def _pass_on_stop(child: "subprocess.Popen[str]", stop: StopSignal) -> None:
    while child.poll() is None:
        if stop.flag.wait(0.2):
            child.terminate()
            return


def _raise_for(name: str, code: int, last: Event) -> None:
    if code == 0:
        return
    if code == STOPPED_EXIT:
        raise Stopped(last.get("message", f"{name}: stopped"))
    if last.get("kind") == "stage_failed":
        kind = getattr(errors, str(last["error"]), None)
        if isinstance(kind, type) and issubclass(kind, WhorlError):
            raise kind(last["message"])
        raise ResourceError(f"stage '{name}' failed with a fault of its own; please report it:\n{last['message']}")
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    raise ResourceError(f"stage '{name}': its process {how}{hint}; what it had saved is kept, run again to go on")
