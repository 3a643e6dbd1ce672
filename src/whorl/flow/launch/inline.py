"""flow/launch/inline: carry a stage out in this process. For tests and debuggers; memory of stages adds up."""

from collections.abc import Callable

from whorl.core.events import Event
from whorl.core.stage import StopSignal
from whorl.flow.launch import Launcher
from whorl.flow.work import WorkOrder, carry_out

__all__ = ["Inline"]


class Inline(Launcher):
    """The stage shares this process."""

    def launch(self, order: WorkOrder, on_event: Callable[[Event], None], stop: StopSignal) -> None:
        """See Launcher.launch."""
        carry_out(order, [on_event], stop)
