"""evals/stages/exam: examine checkpoints side by side and write the report: report.json, and report.html for people.

All models get the same questions through the same renderer, so the report holds before and after. Reads only the exam part
(text suites: the part their reference names, never train). Promotes nothing and compares no runs: a gate reads the report.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from whorl.core.config import Ref
from whorl.core.stage import Job, Stage
from whorl.evals.examinee import UNTRAINED, Examinee, load_examinee
from whorl.evals.page import page
from whorl.evals.skills import examine_skill
from whorl.evals.suites import Sitting, Suite
from whorl.evals.tally import Tally
from whorl.evals.task_field import ExamTask
from whorl.model.count import parameters
from whorl.model.parallel import DTypeName, pick_device, pick_dtype
from whorl.tasks.benchmarks import Benchmark

__all__ = ["Exam"]

_INTERVALS = (
    "95 %: over questions (Wilson) or documents (bootstrap). They cover the choice of questions and documents, not another "
    "training run."
)
_LEARNT = "The lower end of the interval is above what the best constant answer scores on the same questions."
_RECALL = "Asks about training documents in words not used in training: memory, not generalisation."


class Exam(Stage):
    """Examine checkpoints. Greedy answers; the same seed asks the same questions."""

    makes: ClassVar[str] = "report"
    is_seeded: ClassVar[bool] = True

    models: Mapping[str, Ref[Literal["checkpoint"]]] = Field(min_length=1)  # name in the report -> checkpoint
    tasks: Annotated[tuple[ExamTask, ...], Field(min_length=1)]
    count: int = Field(default=300, ge=1)  # questions per skill: 95 % intervals of at most +- 6 points
    dtype: DTypeName = "fp32"  # of weights and activations while examining; bf16 is faster and rounds

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if UNTRAINED in self.models:
            raise ValueError(f"models: '{UNTRAINED}' is the name of a baseline; call the checkpoint something else")
        return self

    def settled(self, pins: Mapping[str, str]) -> Self:
        """`dtype: auto` becomes what this machine can do."""
        del pins
        return self.model_copy(update={"dtype": pick_dtype(self.dtype, pick_device().name).name})

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run."""
        # By name, because the order of a mapping is no part of an identity; the page shows them as the recipe lists them.
        models = [load_examinee(name, job.open(ref).path, dtype=self.dtype) for name, ref in sorted(self.models.items())]
        folders = {target: artifact.path for target, artifact in job.inputs.items()}
        tally = Tally(job.events, sum(self._num_cases(task, folders) for task in self.tasks))
        sitting = Sitting(folders, job.seed, tally)
        report = {
            "models": [_described(model, self.dtype) for model in models],
            "suites": [task.examine(models, sitting).plain() for task in self.tasks if isinstance(task, Suite)],
            "skills": [
                examine_skill(task, models, count=self.count, sitting=sitting)
                for task in self.tasks
                if isinstance(task, Benchmark)
            ],
            "definitions": {"interval": _INTERVALS, "is_learnt": _LEARNT, "is_recall": _RECALL},
            "seed": job.seed.root,
        }
        (job.folder / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (job.folder / "report.html").write_text(page(report, order=list(self.models)), encoding="utf-8")
        return headline(report)

    def _num_cases(self, task: Suite | Benchmark, folders: Mapping[str, Any]) -> int:
        if isinstance(task, Suite):
            return task.num_cases(len(self.models), folders)
        return self.count * len(self.models)


def headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a report as one flat row: `<model>.<task>`, and how many skills each model learnt."""
    row = {f"{figure['of']}.{suite['use']}": figure["value"] for suite in report["suites"] for figure in suite["figures"]}
    for skill in report["skills"]:
        row |= {f"{result['of']}.{skill['use']}": result["value"] for result in skill["results"]}
    if report["skills"]:
        row["num_skills"] = len(report["skills"])
        learnt = [result["of"] for skill in report["skills"] for result in skill["results"] if result["is_learnt"]]
        row |= {f"{model['name']}.num_learnt": learnt.count(model["name"]) for model in report["models"]}
    return row


def _described(model: Examinee, dtype: str) -> dict[str, Any]:
    config = model.config
    return {
        "name": model.name,
        "family": model.family,
        "parameters": parameters(config).total,
        "depth": config.depth,
        "width": config.width,
        "vocabulary": config.vocab_size,
        "dtype": dtype,
        "tokenizer": model.renderer.tokenizer.fingerprint[:12],
        "renderer": model.renderer.fingerprint[:12],
    }
