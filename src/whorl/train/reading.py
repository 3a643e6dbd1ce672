"""train/reading: which documents a finished fit read at which step, from its manifest and its inputs.

Nothing was written down while it trained, unless it once went back and past bad data (`detours` in training.json): the loader
is built again from the same config, seed and data, by the code that built it then. Does not look at the weights.
"""

import json
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, cast

from whorl.core.artifact import Artifact
from whorl.core.config import Ref
from whorl.core.errors import UsageError
from whorl.core.seed import Seed
from whorl.core.stage import Stage
from whorl.train.detour import Detour, places_at, steps_at
from whorl.train.mix import Batches
from whorl.train.setup import Feed
from whorl.train.timetable import Timetable

__all__ = ["Reading", "reading"]


class _Reads(Protocol):
    def feed(self, inputs: Mapping[str, Artifact], seed: Seed) -> Feed:
        """See train/stages/fit."""
        ...

    def timetable(self, loader: Batches) -> Timetable:
        """See train/stages/fit."""
        ...


@dataclass(frozen=True)
class Reading:
    """What one fit read. Steps are counted from 1, as training tells them."""

    batches: Batches
    timetable: Timetable
    detours: tuple[Detour, ...]
    steps: int

    def documents(self, step: int) -> tuple[str, ...]:
        """Ids of the documents that a step read some of. Raises UsageError for a step it never took."""
        if not 1 <= step <= self.steps:
            raise UsageError(f"step {step}: this fit took steps 1 to {self.steps}")
        return self.batches.documents_in(places_at(step - 1, self.timetable, self.detours))

    def steps_of(self, doc_id: str) -> list[int]:
        """The steps that read some of a document, ascending. Raises UsageError for an id it could not read."""
        upto = places_at(self.steps - 1, self.timetable, self.detours).stop
        places = self.batches.places_of(doc_id, upto)
        return [step + 1 for step in steps_at(places, self.timetable, self.detours) if step < self.steps]


def reading(checkpoint: Artifact, inputs: Mapping[str, Artifact], trust: Collection[str] = ()) -> Reading:
    """What the fit that made a checkpoint read. `inputs` are the artifacts of the manifest's `parents`, by place.

    Raises UsageError for a checkpoint that was not trained here, ConfigError when an objective's code is not trusted.
    """
    identity: Mapping[str, Any] = checkpoint.manifest["identity"]
    if identity["stage"] != "train.fit":
        raise UsageError(f"checkpoint {checkpoint.fingerprint[:12]} was made by '{identity['stage']}', which read no batches")
    parents: Mapping[str, Any] = checkpoint.manifest["parents"]
    config = deepcopy(dict(identity["config"]))
    for place, parent in parents.items():
        _set(config, place.split("."), parent["ref"])
    stage = Stage.model_validate(config, context={"trust": frozenset(trust)})
    by_target = {Ref.parse(parent["ref"], ()).target: inputs[place] for place, parent in parents.items()}
    # As flow seeds a job: by the recipe's seed and the public name of the stage.
    reads = cast("_Reads", stage)
    loader = reads.feed(by_target, Seed(identity["seed"]).child(identity["stage"])).loader
    curve = json.loads((checkpoint.path / "training.json").read_text())
    detours = tuple(Detour(*one) for one in curve.get("detours", ()))
    return Reading(loader, reads.timetable(loader), detours, int(checkpoint.counts["steps"]))


def _set(config: Any, place: list[str], value: str) -> None:  # noqa: ANN401 - nested plain values
    head, *rest = place
    key = int(head) if isinstance(config, list) else head
    if rest:
        _set(config[key], rest, value)
    else:
        config[key] = value
