"""core/stage: what a room offers to flow: a stage is one file in `<room>/stages/`, with its config and its `run`.

A stage reads finished artifacts and writes one folder. It knows nothing of names, recipes, leases or other rooms.
"""

import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import whorl
from whorl.core.artifact import Artifact
from whorl.core.config import Member, Ref
from whorl.core.door import member_class, member_names
from whorl.core.errors import ConfigError, suggestion
from whorl.core.events import Events
from whorl.core.pool import Pool
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache

__all__ = ["ROOMS", "Job", "Stage", "StopSignal", "Stopped", "stage_names"]

ROOMS = ("corpus", "tokens", "train", "evals", "compress", "serve", "watch", "govern", "index")


class Stopped(Exception):  # noqa: N818 - not an error: the stage saved its state because it was asked to stop
    """Raised by a stage that saved its state and ends early because the user asked."""


@dataclass(frozen=True)
class StopSignal:
    """Set when the user asks to stop; long stages look at it at every step, save, and raise Stopped."""

    flag: threading.Event = field(default_factory=threading.Event)

    def is_set(self) -> bool:
        """Whether to stop now."""
        return self.flag.is_set()


@dataclass(frozen=True)
class Job:
    """What one run of a stage is given. `folder` and `siblings` may already hold an earlier attempt's work.

    Files under `folder/scratch` are kept for resuming and dropped on publishing.
    """

    name: str  # the stage's name in the recipe
    root: Path  # the project folder: recipe paths are relative to it
    folder: Path
    inputs: Mapping[str, Artifact]  # reference target -> finished artifact
    seed: Seed
    events: Events
    pool: Pool
    shards: ShardCache
    stop: StopSignal = field(default_factory=StopSignal)
    siblings: Mapping[str, Path] = field(default_factory=dict)  # kind -> folder

    def open(self, ref: "Ref[Any]") -> Artifact:
        """The finished artifact a reference points at."""
        return self.inputs[ref.target]

    @property
    def scratch(self) -> Path:
        """A folder for resume state inside the draft; created when asked for."""
        folder = self.folder / "scratch"
        folder.mkdir(exist_ok=True)
        return folder


class Stage(Member, is_door=True):
    """One step of the river. Subclasses live in `whorl.<room>.stages.<name>` and are written `use: room.name`."""

    code_version: ClassVar[int] = 1  # raise it when the same config would give other bytes
    makes: ClassVar[str] = "documents"  # kind of the artifact in `Job.folder`
    also_makes: ClassVar[tuple[str, ...]] = ()  # kinds of sibling artifacts with the same fingerprint
    is_seeded: ClassVar[bool] = False  # whether the recipe's seed changes the result

    @classmethod
    def find(cls, use: str, trust: frozenset[str]) -> type[Self]:
        """The stage class called `room.name`. Raises ConfigError with the nearest name."""
        if ":" in use:
            return member_class("whorl", use, cls, trust=trust)
        room, _, name = use.partition(".")
        if use not in stage_names():
            raise ConfigError(f"no stage '{use}'{suggestion(use, stage_names())}")
        return member_class(f"whorl.{room}.stages", name, cls)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Every stage of the house."""
        return stage_names()

    @property
    def use(self) -> str:
        """`room.name`, or `pkg.mod:Class` for a stage from outside the house."""
        module = type(self).__module__
        room, _, name = module.removeprefix("whorl.").partition(".stages.")
        return f"{room}.{name.partition('.')[0]}" if module.startswith("whorl.") else f"{module}:{type(self).__name__}"

    def settled(self, pins: Mapping[str, str]) -> Self:
        """This config with values that depend on the machine resolved (dtype) or pinned (a length in hours).

        Called before hashing. `pins` are the values this workspace pinned for this stage.
        """
        del pins
        return self

    def to_pin(self) -> Mapping[str, str]:
        """Fields (name -> as written) whose value must be measured once on this machine and then kept."""
        return {}

    def pin(self, job: Job) -> Mapping[str, str]:
        """Measure the fields `to_pin` names; name -> value to use from now on."""
        del job
        return {}

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """Content hashes of what the stage reads from outside the store, by place. Hashed into the identity."""
        del root
        return {}

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Units of work (tokens, documents), so that an earlier run's time can be scaled; None: not known.

        `inputs` lacks what is not made yet.
        """
        del inputs
        return None

    @abstractmethod
    def run(self, job: Job) -> Mapping[str, Any]:
        """Do the work and return headline figures (JSON scalars). Deterministic: no times, no hosts."""


def stage_names() -> tuple[str, ...]:
    """`room.name` of every stage file in the house; imports no stage."""
    present = [room for room in ROOMS if (Path(whorl.__path__[0]) / room / "stages").is_dir()]
    return tuple(f"{room}.{name}" for room in present for name in member_names(f"whorl.{room}.stages"))
