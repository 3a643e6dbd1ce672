"""train/state: what a run must remember to go on as if it had never stopped, written so that a crash leaves old or new, whole.

    <scratch>/step-00000120/{weights.safetensors, moments.safetensors, progress.json}      kept until the next one is whole

Weights are the float32 masters. Does not hold the data position: batches are a pure function of the step.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from whorl.core.artifact import remove_tree, sync
from whorl.core.errors import ArtifactError, DataError, ResourceError
from whorl.train.optimizers import Stepper

__all__ = ["LossPoint", "Progress", "WatchPoint", "check_weights", "latest", "restore", "save", "write_moments"]

_RNG = "rng.torch"
_WRITING = ".writing"


class LossPoint(NamedTuple):
    """Mean training loss (nats per target) since the point before, up to and including `step`."""

    step: int
    loss: float


class WatchPoint(NamedTuple):
    """Bits per byte of the watched held-out text after `step` steps."""

    step: int
    bits_per_byte: float


@dataclass
class Progress:
    """How far a run is and what it has seen; plain numbers, so that JSON keeps them exactly."""

    step: int = 0  # finished optimizer steps
    num_targets: int = 0  # tokens that carried loss
    nats: float = 0.0  # summed since the last loss point
    nats_targets: int = 0  # targets since the last loss point
    losses: list[LossPoint] = field(default_factory=list)
    held_out: list[WatchPoint] = field(default_factory=list)

    def to_json(self) -> str:
        """JSON with full precision."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """Parse what `to_json` wrote."""
        value = json.loads(text)
        value["losses"] = [LossPoint(*point) for point in value["losses"]]
        value["held_out"] = [WatchPoint(*point) for point in value["held_out"]]
        return cls(**value)


def latest(scratch: Path) -> Path | None:
    """The newest whole state, or None."""
    return max(scratch.glob("step-*"), default=None)


def save(scratch: Path, model: nn.Module, stepper: Stepper, progress: Progress) -> Path:
    """Write a state, make it durable, then drop the older ones. Raises DataError for non-finite weights."""
    check_weights(model, f"step {progress.step}")
    final = scratch / f"step-{progress.step:08d}"
    if final.is_dir():
        return final
    draft = scratch / _WRITING
    if draft.is_dir():
        remove_tree(draft)
    draft.mkdir(parents=True)
    _write_tensors(draft / "weights.safetensors", dict(model.named_parameters()))
    write_moments(draft, stepper)
    (draft / "progress.json").write_text(progress.to_json())
    for path in [*draft.iterdir(), draft]:
        sync(path)
    draft.rename(final)
    sync(scratch)
    for older in sorted(scratch.glob("step-*"))[:-1]:
        remove_tree(older)
    return final


def check_weights(model: nn.Module, where: str) -> None:
    """Raise DataError unless every weight is finite."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise DataError(f"{where}: weight '{name}' is not finite; nothing was saved; lower the optimizer's rate")


def restore(folder: Path, model: nn.Module, stepper: Stepper) -> Progress:
    """Put a saved state into a model and a stepper of the same shape. Raises ArtifactError when it does not fit."""
    weights = _read_tensors(folder / "weights.safetensors")
    moments = _read_tensors(folder / "moments.safetensors")
    parameters = dict(model.named_parameters())
    for name in sorted(set(weights) ^ set(parameters)):
        raise ArtifactError(f"{folder}: weight '{name}' is not in both the saved state and the model; delete the folder")
    with torch.no_grad():
        for name, parameter in parameters.items():
            if weights[name].shape != parameter.shape:
                raise ArtifactError(f"{folder}: '{name}' is {tuple(weights[name].shape)}, want {tuple(parameter.shape)}")
            parameter.copy_(weights[name])
    torch.set_rng_state(moments.pop(_RNG))
    stepper.load(moments)
    return Progress.from_json((folder / "progress.json").read_text())


def write_moments(folder: Path, stepper: Stepper) -> None:
    """`moments.safetensors`: the optimizer's moments and the state of torch's generator."""
    _write_tensors(folder / "moments.safetensors", {**stepper.state(), _RNG: torch.get_rng_state()})


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(whole, path)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error}); free disk space and run again") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); delete {path.parent} to start the stage over") from error
