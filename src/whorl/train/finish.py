"""train/finish: what a finished run leaves: a checkpoint, its curve beside it, and its training state.

    <checkpoint>/{config.json, model.safetensors, ..., training.json}
    <state>/{moments.safetensors, ..., progress.json}       and weights.safetensors where the checkpoint holds other ones

Does not decide when a run is over.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whorl.core.errors import DataError
from whorl.core.stage import Job
from whorl.model import checkpoint
from whorl.train import state
from whorl.train.best import best_of
from whorl.train.follow import Run
from whorl.train.setup import Setup
from whorl.train.state import Progress

__all__ = ["finish"]


def finish(job: Job, setup: Setup, run: Run, *, progress: Progress, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write everything; headline figures. `said` goes into all of them.

    Raises DataError when no step was good enough to be taken, or weights are not finite.
    """
    state.check_weights(run.pieces.model, f"step {progress.step}")
    if not progress.losses:
        last = progress.skips[-1].why if progress.skips else "no token carried loss"
        raise DataError(
            f"none of {progress.step} steps was taken, the last because of this: {last}; lower the optimizer's rate"
        )
    told = {
        **said,
        "steps": progress.step,
        "tokens": run.course.timetable.tokens(progress.step),
        "targets": progress.num_targets,
    }
    if "state" in job.siblings:
        _write_state(job.siblings["state"], run, progress)
    extra = {"tokenizer": setup.tokenizer.fingerprint, "renderer": setup.renderer.fingerprint, "trained": told}
    with run.weights_for("checkpoint"):
        if run.best is not None:
            run.best.put(run.pieces.model)
        checkpoint.save(
            job.folder, run.pieces.model, family=setup.source.family, tokenizer_folder=setup.tokenizer_folder, extra=extra
        )
    measured = f"held_out_{run.lines.measure}"
    (job.folder / "training.json").write_text(_curve(told, progress, measured))
    counts = {**told, "parameters": setup.num_parameters, "loss": progress.losses[-1].loss}
    final = best_of(progress.held_out) if run.best is not None else next(reversed(progress.held_out), None)
    return counts if final is None else {**counts, measured: final.bits_per_byte}


def _curve(told: Mapping[str, Any], progress: Progress, measured: str) -> str:
    curve = {
        **told,
        "loss": progress.losses,
        measured: progress.held_out,
        "skips": progress.skips,
        "returns": progress.returns,
        "detours": progress.detours,
    }
    return json.dumps(curve, sort_keys=True) + "\n"


def _write_state(folder: Path, run: Run, progress: Progress) -> None:
    keepers = {name: keeper for name, keeper in run.keepers.items() if name != "best"}  # which the checkpoint holds
    state.write_keepers(folder, keepers)
    if run.best is not None or run.average is not None:
        state.write_weights(folder, run.pieces.model)
    (folder / "progress.json").write_text(progress.to_json())
