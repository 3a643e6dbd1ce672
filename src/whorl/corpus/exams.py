"""corpus/exams: the texts of examinations that a corpus must not contain: questions of tasks, and fields of JSON Lines files.

An exam that yields nothing to look for is an error, never an empty result. Does not search.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, NamedTuple, Self

from pydantic import Field, model_validator

from whorl.core.config import Config, refs_in
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.core.seed import Seed
from whorl.corpus.files import Unit, content_hash, find_units, open_decoded
from whorl.corpus.unpack import Unreadable
from whorl.tasks.benchmarks import Benchmark

__all__ = ["AskedTask", "ExamFiles", "ExamText", "asked_texts", "file_texts"]

# Questions follow the seed of the stage that asks them; looking for the same ones means drawing them the same way.
_ASKED_BY = "evals.exam"
_MAX_RATIO = 200  # unpacked against packed bytes


class ExamText(NamedTuple):
    """One text of one item of an exam."""

    exam: str
    item: str
    text: str


class ExamFiles(Config):
    """One exam in JSON Lines: one item per line, in every file the pattern matches; .gz, .zst, .bz2 and .xz are unpacked."""

    path: str
    fields: tuple[str, ...] = Field(min_length=1)  # texts, or lists of texts, to look for; each on its own
    name: str = ""  # in reports; by default the pattern's last component without suffixes
    id_field: str | None = None  # by default an item is called by its file and line
    max_size: Bytes = 2_000_000_000  # of one file, unpacked

    @property
    def called(self) -> str:
        """The exam's name in reports."""
        return self.name or PurePath(self.path).name.partition(".")[0]

    def units(self, root: Path) -> list[Unit]:
        """The files. Raises DataError when there are none."""
        found = find_units(root, self.path)
        if not found:
            raise DataError(f"exam '{self.called}': no file matches {self.path} below {root}; look at path")
        return found

    def content(self, root: Path) -> str:
        """Hash of what the exam is read from."""
        return content_hash(self.units(root))


class AskedTask(Config):
    """The questions evals.exam asks of one task, with the same seed and at most as many."""

    task: Benchmark
    count: int = Field(default=300, ge=1)  # as evals.exam: fewer would leave questions out, more costs little

    @model_validator(mode="after")
    def _documents_are_no_answers(self) -> Self:
        if self.task.is_recall:
            raise ValueError(f"task '{self.task.use}' asks about training documents; taking them out leaves nothing to recall")
        return self


def file_texts(exam: ExamFiles, root: Path) -> Iterator[ExamText]:
    """Every text of every item. Raises DataError at the first line that is no object with the fields, or when none has text."""
    texts = (ExamText(exam.called, item, text) for unit in exam.units(root) for item, text in _unit_texts(exam, unit))
    first = next(texts, None)
    if first is None:
        raise DataError(f"exam '{exam.called}': no item in {exam.path} holds text in {', '.join(exam.fields)}")
    yield first
    yield from texts


def asked_texts(asked: AskedTask, seed: Seed, folders: Mapping[str, Path]) -> Iterator[ExamText]:
    """The question and its first answer as one text, and the question alone."""
    own = Seed(seed.root).child(_ASKED_BY).child(asked.task.use)
    needed = {ref.target: folders[ref.target] for _, ref in refs_in(asked.task)}
    for question in asked.task.questions("exam", count=asked.count, seed=own, folders=needed):
        said = "\n".join(message.content for message in question.messages)
        yield ExamText(asked.task.use, question.id, said)
        yield from (ExamText(asked.task.use, question.id, f"{said}\n{answer}") for answer in islice(question.answers, 1))


def _unit_texts(exam: ExamFiles, unit: Unit) -> Iterator[tuple[str, str]]:
    """Name of the item and text, for every text of one file."""
    try:
        with open_decoded(unit, max_bytes=exam.max_size, max_ratio=_MAX_RATIO) as handle:
            for number, line in enumerate(handle, start=1):
                yield from _line_texts(exam, line, f"{unit.name}:{number}")
    except Unreadable as fault:
        raise DataError(f"exam '{exam.called}': {unit.name}: {fault.reason} {fault.detail}") from fault


def _line_texts(exam: ExamFiles, line: bytes, place: str) -> Iterator[tuple[str, str]]:
    if not line.strip():
        return
    value = _parsed(line, place)
    item = place if exam.id_field is None else str(_field(value, exam.id_field, place))
    for field in exam.fields:
        yield from ((item, text) for text in _texts(_field(value, field, place), field, place))


def _parsed(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(
            f"{place}: not a line of JSON ({str(error)[:200]}); an exam with unread items is not searched for"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{place}: want an object, got {type(value).__name__}")
    return value


def _field(value: Mapping[str, Any], field: str, place: str) -> object:
    if field not in value:
        raise DataError(f"{place}: no field '{field}' (fields: {', '.join(sorted(value))[:200]}); look at fields of the exam")
    return value[field]


def _texts(value: object, field: str, place: str) -> Sequence[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{place}: field '{field}' holds {type(value).__name__}; want a text or a list of texts")
    return [text for text in texts if text.strip()]
