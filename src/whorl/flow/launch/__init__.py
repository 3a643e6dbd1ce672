"""flow/launch: the door of launchers: where a stage is carried out.

To add one: a file here with one class deriving from Launcher, whose `launch` carries out a WorkOrder and hands its events on.
"""

from abc import abstractmethod
from collections.abc import Callable

from whorl.core.config import Member
from whorl.core.events import Event
from whorl.core.stage import StopSignal
from whorl.flow.work import WorkOrder

__all__ = ["Launcher"]


class Launcher(Member, is_door=True):
    """Carries out one stage somewhere."""

    @abstractmethod
    def launch(self, order: WorkOrder, on_event: Callable[[Event], None], stop: StopSignal) -> None:
        """Return when the stage is published. Raises Stopped, or one of the house's errors."""
