"""compress/exports: the door of formats that other tools read: a checkpoint folder in, one folder of theirs out.

To add one, write `<name>.py` with an Export whose fields are the choices of its format and whose `write` makes the files; what
the format cannot hold is refused by name before anything is written, never left out.
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whorl.core.config import Member

__all__ = ["Export"]


class Export(Member, is_door=True):
    """A format of somebody else's."""

    @abstractmethod
    def write(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """The checkpoint in this format, into an existing folder; headline figures (JSON scalars).

        Equal checkpoints give equal bytes. Raises DataError for a model or a tokenizer that the format cannot hold,
        ResourceError for a missing package.
        """
