"""train/state: what a run must remember to go on as if it had never stopped, written so that a crash leaves old or new, whole.

    <scratch>/step-00000120/{weights.safetensors, moments.safetensors, ..., progress.json}     the newest
    <scratch>/good-00000100/                                              the newest that a run may go back to

Weights are the float32 masters and what else a model keeps (balancing biases). One file for everything that remembers: the
optimizer, and the guard, the loss scale, the average and the best weights where a recipe asks for them. No generator is kept:
batches and draws are pure functions of the step and of `Progress`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from whorl.core.artifact import remove_tree, sync
from whorl.core.errors import ArtifactError, DataError
from whorl.train.detour import Detour
from whorl.train.tensor_files import TensorFile, write_tensors

__all__ = [
    "Keeper",
    "LossPoint",
    "Progress",
    "Return",
    "Skip",
    "WatchPoint",
    "abandon",
    "check_weights",
    "good",
    "is_sound",
    "latest",
    "restore",
    "save",
    "write_keepers",
    "write_weights",
]

_WRITING = ".writing"
_WEIGHTS = "weights.safetensors"
_PROGRESS = "progress.json"

Kind = Literal["step", "good"]


class Keeper(Protocol):
    """Something that remembers from step to step."""

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on, by stable names; not copies."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave, bit for bit."""
        ...


class LossPoint(NamedTuple):
    """Mean training loss (nats per target) since the point before, up to and including `step`."""

    step: int
    loss: float


class WatchPoint(NamedTuple):
    """The measure of the watched held-out text (bits per byte, unless an objective says otherwise) after `step` steps."""

    step: int
    bits_per_byte: float


class Skip(NamedTuple):
    """A step whose data was read and whose gradient was not used."""

    step: int
    why: str


class Return(NamedTuple):
    """A return to an earlier checkpoint: from which step to which, and the places of the data that were passed over."""

    from_step: int
    to_step: int
    first_place: int
    past_place: int


@dataclass
class Progress:
    """How far a run is and what it has seen; plain numbers, so that JSON keeps them exactly."""

    step: int = 0  # finished optimizer steps
    num_targets: int = 0  # tokens that carried loss
    nats: float = 0.0  # summed since the last loss point
    nats_targets: int = 0  # targets since the last loss point
    losses: list[LossPoint] = field(default_factory=list)
    held_out: list[WatchPoint] = field(default_factory=list)
    nats_bytes: float = 0.0  # of text that these targets spell
    skips: list[Skip] = field(default_factory=list)
    bad_in_row: int = 0  # steps up to here
    returns: list[Return] = field(default_factory=list)
    detours: list[Detour] = field(default_factory=list)  # where the data lies since

    def to_json(self) -> str:
        """JSON with full precision."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """Parse what `to_json` wrote."""
        value = json.loads(text)
        for name, kind in _RECORDS.items():
            value[name] = [kind(*point) for point in value[name]]
        return cls(**value)


_RECORDS = {"losses": LossPoint, "held_out": WatchPoint, "skips": Skip, "returns": Return, "detours": Detour}


def latest(scratch: Path) -> Path | None:
    """The newest whole state, or None. A resume point comes before a good one of the same step: it may know of a return."""
    found = [*scratch.glob("step-*"), *scratch.glob("good-*")]
    return max(found, key=lambda path: (_step(path), path.name), default=None)


def good(scratch: Path) -> Path | None:
    """The newest state that a run may go back to, or None."""
    return max(scratch.glob("good-*"), default=None)


def abandon(scratch: Path) -> None:
    """Drop what was saved since the good state: a run that goes back must not be resumed from there."""
    for path in sorted(scratch.glob("step-*")):
        remove_tree(path)


def save(scratch: Path, model: nn.Module, keepers: Mapping[str, Keeper], progress: Progress, *, kind: Kind = "step") -> Path:
    """Write a state, make it durable, then drop the older ones of its kind. Raises DataError for non-finite weights."""
    check_weights(model, f"step {progress.step}")
    final = scratch / f"{kind}-{progress.step:08d}"
    if final.is_dir():  # whatever happened since (a look at held-out text) happens again when it is resumed
        return final
    draft = scratch / _WRITING
    if draft.is_dir():
        remove_tree(draft)
    draft.mkdir(parents=True)
    write_weights(draft, model)
    write_keepers(draft, keepers)
    (draft / _PROGRESS).write_text(progress.to_json())
    for path in [*draft.iterdir(), draft]:
        sync(path)
    draft.rename(final)
    sync(scratch)
    for older in sorted(scratch.glob(f"{kind}-*"))[:-1]:
        remove_tree(older)
    return final


def is_sound(model: nn.Module) -> bool:
    """Whether every weight is finite. Waits for the device once."""
    return bool(torch.stack([torch.isfinite(parameter).all() for parameter in model.parameters()]).all())


def check_weights(model: nn.Module, where: str) -> None:
    """Raise DataError, naming the first weight that is not finite, unless all are."""
    if is_sound(model):
        return
    name = next(name for name, parameter in model.named_parameters() if not torch.isfinite(parameter).all())
    raise DataError(f"{where}: weight '{name}' is not finite; nothing was saved; lower the optimizer's rate")


def restore(folder: Path, model: nn.Module, keepers: Mapping[str, Keeper]) -> Progress:
    """Put a saved state into a model and keepers of the same shape, one tensor at a time.

    Raises ArtifactError when it does not fit.
    """
    weights = TensorFile(folder / _WEIGHTS)
    mine = model.state_dict()
    for name in sorted(set(weights) ^ set(mine)):
        raise ArtifactError(f"{folder}: weight '{name}' is not in both the saved state and the model; delete the folder")
    for name, tensor in mine.items():
        saved = weights[name]
        if saved.shape != tensor.shape:
            raise ArtifactError(f"{folder}: '{name}' is {tuple(saved.shape)}, want {tuple(tensor.shape)}")
        tensor.copy_(saved)
    for name, keeper in keepers.items():
        keeper.load(TensorFile(folder / f"{name}.safetensors"))
    return Progress.from_json((folder / _PROGRESS).read_text())


def write_weights(folder: Path, model: nn.Module) -> None:
    """`weights.safetensors`: the model's own, whatever a checkpoint is made of."""
    write_tensors(folder / _WEIGHTS, model.state_dict())


def write_keepers(folder: Path, keepers: Mapping[str, Keeper]) -> None:
    """One file for each, `<name>.safetensors`."""
    for name, keeper in keepers.items():
        write_tensors(folder / f"{name}.safetensors", keeper.state())


def _step(path: Path) -> int:
    return int(path.name.partition("-")[2])
