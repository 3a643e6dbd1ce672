"""corpus/stages/converse: make dialogues to tune on, from tasks and from documents, by rule and without another model.

    tasks       questions of each skill with their right answers; training and held-out operands are disjoint, and no operand
                of an exam is in either
    chained     two questions of different skills in one dialogue, so that a second turn is nothing new
    described   a named training document told as its first paragraph
    unknown     made-up names, answered by saying that they are not known
    greetings   lines about the model itself

Never writes the part `exam`. Does not check whether answers are good to read; does not render markup.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count as count_up
from itertools import cycle, islice
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from whorl.core.config import Config, Part
from whorl.core.errors import DataError
from whorl.core.records import Dialogue, Message, Question, write_dialogues
from whorl.core.seed import Seed
from whorl.core.stage import Job, Stage
from whorl.tasks.benchmarks import Benchmark
from whorl.tasks.named import WORDINGS, Corpus, named_documents
from whorl.tasks.parts import part_of
from whorl.tasks.smalltalk import exchanges
from whorl.tasks.words import words

__all__ = ["Converse", "Portion"]

_MORE: Mapping[Part, tuple[str, ...]] = {
    "train": ("Tell me more about {0}.", "Describe {0} in full.", "What should I know about {0}?"),
    "held_out": ("Say all you know about {0}.",),
}
_MAX_PARAGRAPH = 240  # characters
_PARTS: tuple[Part, ...] = ("train", "held_out")


class Portion(Config):
    """How much of one task goes into the dialogues."""

    task: Benchmark
    count: int = Field(ge=0)  # training dialogues
    held_out: int = Field(default=100, ge=0)  # dialogues watched while training


class Converse(Stage):
    """Dialogues by rule. The counts of rules are training dialogues; one twentieth as many are held out."""

    makes: ClassVar[str] = "dialogues"
    is_seeded: ClassVar[bool] = True

    from_: Corpus | None = Field(default=None, alias="from")  # for `described` and `unknown`
    tasks: tuple[Portion, ...] = ()
    chained: int = Field(default=0, ge=0)
    described: int = Field(default=0, ge=0)
    unknown: int = Field(default=0, ge=0)
    greetings: int = Field(default=0, ge=0)
    about: str = "a small language model made with whorl"  # what the model says it is

    @model_validator(mode="after")
    def _rules_have_what_they_need(self) -> Self:
        if self.from_ is None and (self.described or self.unknown):
            raise ValueError("described and unknown need documents: set `from`")
        uses = Counter(portion.task.use for portion in self.tasks)
        twice = [use for use, times in uses.items() if times > 1]
        if twice:
            raise ValueError(f"task '{twice[0]}' is listed {uses[twice[0]]} times; list it once with a larger count")
        if self.chained and len(self.tasks) < 2:
            raise ValueError(f"chained={self.chained} needs at least two tasks, got {len(self.tasks)}")
        return self

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run."""
        folders = {target: artifact.path for target, artifact in job.inputs.items()}
        written: Counter[str] = Counter()
        write_dialogues(job.folder / "dialogues.jsonl", self._counted(folders, job, written))
        return dict(sorted(written.items()))

    def _counted(self, folders: Mapping[str, Path], job: Job, written: Counter[str]) -> Iterator[Dialogue]:
        rules = (self.chained, self.described, self.unknown, self.greetings)
        total = sum(p.count + p.held_out for p in self.tasks) + sum(_share(c, part) for c in rules for part in _PARTS)
        for number, dialogue in enumerate(self._all(folders, job.seed), start=1):
            written[dialogue.part] += 1
            written[f"{dialogue.part}.{dialogue.meta['rule']}"] += 1
            if number % 1000 == 0 or number == total:
                job.events.progress(number, total, "dialogues")
            yield dialogue

    def _all(self, folders: Mapping[str, Path], seed: Seed) -> Iterator[Dialogue]:
        for part in _PARTS:
            own = seed.child(part)
            for portion in self.tasks:
                count = portion.count if part == "train" else portion.held_out
                questions = portion.task.questions(part, count=count, seed=own.child(portion.task.use), folders=folders)
                yield from (_answered(question, part, portion.task.use) for question in questions)
            yield from self._chained(part, seed=own.child("chained"), folders=folders)
            yield from self._greetings(part)
            if self.from_ is not None:
                folder = folders[self.from_.target]
                yield from self._described(part, folder)
                yield from self._unknown(part, folder, seed=own.child("unknown"))

    def _chained(self, part: Part, *, seed: Seed, folders: Mapping[str, Path]) -> Iterator[Dialogue]:
        """Every task in turn comes first, and each of the others in turn second."""
        count = _share(self.chained, part)
        each = -(-count // max(1, len(self.tasks)))
        asked = [
            portion.task.questions(part, count=each, seed=seed.child(f"{turn}/{portion.task.use}"), folders=folders)
            for turn in ("first", "second")
            for portion in self.tasks
        ]
        firsts, seconds = asked[: len(self.tasks)], asked[len(self.tasks) :]
        pairs = (
            (first[k], seconds[(n + 1 + k % (len(seconds) - 1)) % len(seconds)][k])
            for k in range(each)
            for n, first in enumerate(firsts)
        )
        for number, (first, second) in enumerate(islice(pairs, count)):
            yield Dialogue(f"chained:{part}:{number}", (*_turns(first), *_turns(second)), part, meta={"rule": "chained"})

    def _described(self, part: Part, folder: Path) -> Iterator[Dialogue]:
        count = _share(self.described, part)
        fitting = [n for n in named_documents(folder) if len(n.sentence) < len(n.paragraph) <= _MAX_PARAGRAPH]
        wordings = _MORE[part]
        if count > len(fitting) * len(wordings):
            raise DataError(
                f"described: part '{part}' has {len(fitting)} documents x {len(wordings)} wordings for {count} dialogues; "
                "lower `described`"
            )
        asked = ((named, wordings[(n + k) % len(wordings)]) for k in range(len(wordings)) for n, named in enumerate(fitting))
        for number, (named, wording) in enumerate(islice(asked, count)):
            turns = (Message("user", wording.format(named.name)), Message("assistant", named.paragraph))
            yield Dialogue(f"described:{part}:{number}", turns, part, named.doc_id, {"rule": "described"})

    def _unknown(self, part: Part, folder: Path, *, seed: Seed) -> Iterator[Dialogue]:
        known = {named.name for named in named_documents(folder)}
        stream = words(seed)
        names = (f"{next(stream)}.{next(stream)}" for _ in count_up())
        fresh = (name for name in names if part_of(f"name:{name}") == part and name not in known)
        for number, (name, wording) in enumerate(zip(islice(fresh, _share(self.unknown, part)), cycle(WORDINGS[part]))):
            turns = (Message("user", wording.format(name)), Message("assistant", f"I do not know {name}."))
            yield Dialogue(f"unknown:{part}:{number}", turns, part, meta={"rule": "unknown"})

    def _greetings(self, part: Part) -> Iterator[Dialogue]:
        lines = exchanges(self.about, [portion.task.title for portion in self.tasks], part)
        for number, line in enumerate(islice(cycle(lines), _share(self.greetings, part))):
            turns = (Message("user", line.asked), Message("assistant", line.answered))
            yield Dialogue(f"greetings:{part}:{number}", turns, part, meta={"rule": "greetings"})


def _share(count: int, part: Part) -> int:
    """How many dialogues of a rule a part gets."""
    return count if part == "train" else -(-count // 20)


def _turns(question: Question) -> tuple[Message, ...]:
    return (*question.messages, Message("assistant", question.answers[0]))


def _answered(question: Question, part: Part, use: str) -> Dialogue:
    return Dialogue(question.id, _turns(question), part, f"task:{use}", {"rule": use, "operand": question.operand})
