"""train/reading: which documents a finished fit read at which step, from its manifest and its inputs alone.

Nothing was written down while it trained: the loader is built again from the same config, seed and data, by the code that built
it then. Does not look at the weights.
"""

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, cast

from whorl.core.artifact import Artifact
from whorl.core.config import Ref
from whorl.core.errors import UsageError
from whorl.core.seed import Seed
from whorl.core.stage import Stage
from whorl.train.mix import Batches
from whorl.train.setup import Feed

__all__ = ["Reading", "reading"]


class _Reads(Protocol):
    def feed(self, inputs: Mapping[str, Artifact], seed: Seed) -> Feed:
        """See train/stages/fit."""
        ...


@dataclass(frozen=True)
class Reading:
    """What one fit read. Steps are counted from 1, as training tells them."""

    batches: Batches
    steps: int

    def documents(self, step: int) -> tuple[str, ...]:
        """Ids of the documents that a step read some of. Raises UsageError for a step it never took."""
        if not 1 <= step <= self.steps:
            raise UsageError(f"step {step}: this fit took steps 1 to {self.steps}")
        return self.batches.documents(step - 1)

    def steps_of(self, doc_id: str) -> list[int]:
        """The steps that read some of a document, ascending. Raises UsageError for an id it could not read."""
        return [step + 1 for step in self.batches.steps_of(doc_id, self.steps)]


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
    feed = cast("_Reads", stage).feed(by_target, Seed(identity["seed"]).child(identity["stage"]))
    return Reading(feed.loader, int(checkpoint.counts["steps"]))


def _set(config: Any, place: list[str], value: str) -> None:  # noqa: ANN401 - nested plain values
    head, *rest = place
    key = int(head) if isinstance(config, list) else head
    if rest:
        _set(config[key], rest, value)
    else:
        config[key] = value
