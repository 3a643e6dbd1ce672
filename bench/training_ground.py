"""bench/training_ground: docstrings of the standard library as token shards, and small fits on them through the real stage.

Every machine that can run a bench has the text; another Python has slightly other text. A trial keeps no files but its figures.
"""

import shutil
import statistics
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.workshop import Workshop
from whorl.core.events import Event, Events
from whorl.core.pool import InlinePool
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage

__all__ = ["TrainingGround", "Trial"]


class Trial(NamedTuple):
    """What one fit came to."""

    bits_per_byte: float  # of held-out text after the last step
    step_s: float  # wall time of a step, the median; looking at held-out text, opening and saving not counted
    parameters: int


class TrainingGround:
    """Token shards in a folder of their own, and fits on them."""

    def __init__(self, root: Path, *, vocabulary: int) -> None:
        self.root = root
        self._workshop = Workshop(root)
        self._workshop.run("pages", use="corpus.collect", sources=[{"use": "python_docs"}])
        self._workshop.run("clean", use="corpus.refine", **{"from": "pages", "dedup": [{"use": "exact"}]})
        self._workshop.run("vocab", use="tokens.learn", **{"from": "clean", "size": vocabulary})
        self.counts = self._workshop.run("ids", use="tokens.encode", **{"from": "clean", "tokenizer": "vocab"})

    def trial(self, recipe: Mapping[str, Any], *, seed: int) -> Trial:
        """Train once; the same recipe and seed give the same bits per byte. Looks at held-out text before and after only."""
        recipe = {"use": "train.fit", "data": "ids", "save_every": 1e9, **recipe}
        recipe["watch"] = {"documents": 256, **recipe.get("watch", {}), "every": 10**9}
        stage = Stage.model_validate(recipe)
        times: dict[int, float] = {}

        def note(event: Event) -> None:
            if event["kind"] == "metric" and "loss" in event:
                times[event["step"]] = event["time"]

        draft = self.root / "trial"
        (draft / "checkpoint").mkdir(parents=True)
        try:
            counts = stage.run(self._job(draft, seed, Events("trial", [note])))
        finally:
            shutil.rmtree(draft)
        paces = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(sorted(times.items()))]
        return Trial(counts["held_out_bits_per_byte"], statistics.median(paces), counts["parameters"])

    def _job(self, draft: Path, seed: int, events: Events) -> Job:
        pool, shards = InlinePool(), ShardCache(draft / ".whorl")
        folder = draft / "checkpoint"
        return Job("trial", draft, folder, self._workshop.made, Seed(seed).child("trial"), events, pool, shards)
