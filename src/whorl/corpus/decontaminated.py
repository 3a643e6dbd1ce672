"""corpus/decontaminated: one shard without what exams hold: whole documents dropped, or spans cut out, each one written down.

`contamination-N.parquet` has one row per run of words found: which document, which item of which exam, where, how much.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.shards import shard_path, write_table
from whorl.corpus.contamination import Runs, read_runs
from whorl.corpus.cut import Cuts, char_places, merged, without
from whorl.corpus.exam_index import read_index
from whorl.corpus.ledger import START_CHARS
from whorl.corpus.passing import Passed, Passing, read_documents, write_passing
from whorl.text.columns import TextBuffers, text_buffers

__all__ = ["STEP", "Cleared", "CutRule", "CutTask", "clear_shard"]

STEP = "decontaminate"
_JOINT = "\n\n"  # what stood on both sides of a cut was not said together


@dataclass(frozen=True)
class CutRule:
    """What happens to a document that holds text of an exam."""

    action: Literal["drop", "cut"]
    margin_chars: int
    max_cut_share: float  # of a document's bytes


@dataclass(frozen=True)
class CutTask:
    """One shard and the runs found in it; goes to a worker process."""

    path: Path
    runs: Path  # folder made by search_shard
    index: Path
    rule: CutRule
    folder: Path
    number: int

    def __str__(self) -> str:
        return str(self.path)


class Cleared(NamedTuple):
    """Counts of one shard."""

    passed: Passed
    documents: int  # that hold text of an exam
    spans: int


def clear_shard(task: CutTask) -> Cleared:
    """Write documents, ledger and contamination of one shard."""
    table, runs = read_documents(task.path), read_runs(task.runs)
    texts = table["text"].combine_chunks()
    buffers = text_buffers(texts)
    cuts = _cuts(task.rule, runs, buffers)
    found = _found(task, table, runs)
    shard = _passing(task.rule, table, without(texts, cuts, joint=_JOINT), cuts=cuts, found=found)
    write_table(found, shard_path(task.folder, "contamination", task.number))
    num_docs = len(np.unique(runs.rows))
    return Cleared(write_passing(shard, task.folder, task.number), num_docs, len(runs.rows))


def _found(task: CutTask, table: pa.Table, runs: Runs) -> pa.Table:
    """One row per run; offsets are characters of the text that came in, without margins."""
    texts = table["text"].combine_chunks()
    buffers = text_buffers(texts)
    places = char_places(buffers, _placed(runs, buffers))
    own = read_index(task.index).texts.take(pa.array(runs.texts))
    shown = [
        bytes(buffers.data[start:end]).decode()[:START_CHARS]
        for _, start, end in zip(*(column.tolist() for column in _placed(runs, buffers)), strict=True)
    ]
    return pa.table(
        {
            "id": table["id"].take(pa.array(runs.rows)),
            "exam": own["exam"],
            "item": own["item"],
            "num_items": own["num_items"],  # that hold the same text
            "start": places.starts,
            "end": places.ends,
            "matched_words": runs.num_words,
            "item_words": own["num_words"],  # of the text that was found, by far the longest run there can be of it alone
            "matched": pa.array(shown, pa.string()),
        }
    )


def _placed(runs: Runs, buffers: TextBuffers) -> Cuts:
    base = buffers.offsets[runs.rows]
    return Cuts(runs.rows, runs.starts + base, runs.ends + base)


def _cuts(rule: CutRule, runs: Runs, buffers: TextBuffers) -> Cuts:
    """What to take out of texts: runs with their margins, to the next white space outside, as few spans."""
    placed = _placed(runs, buffers)
    if rule.action == "drop":
        return Cuts(*(column[:0] for column in placed))
    starts, ends = placed.starts.copy(), placed.ends.copy()
    for text, own in placed.per_text():
        begin, end = int(buffers.offsets[text]), int(buffers.offsets[text + 1])
        whole = buffers.data[begin:end].tobytes()
        for place in range(own.start, own.stop):
            starts[place] = begin + _widened(whole, int(starts[place]) - begin, -1, margin=rule.margin_chars)
            ends[place] = begin + _widened(whole, int(ends[place]) - begin, 1, margin=rule.margin_chars)
    return merged(Cuts(placed.texts, starts, ends))


def _widened(text: bytes, place: int, step: int, *, margin: int) -> int:
    """The byte `margin` characters before or after a place, and on to where white space or the text's end is."""
    left = margin
    while 0 < place < len(text) or (place == 0 and step > 0) or (place == len(text) and step < 0):
        beyond = text[place - 1 : place] if step < 0 else text[place : place + 1]
        if not beyond or (left <= 0 and beyond.isspace()):
            break
        place += step
        is_boundary = place >= len(text) or text[place] & 0xC0 != 0x80
        left -= is_boundary
    return place


def _passing(rule: CutRule, table: pa.Table, texts: pa.Array, *, cuts: Cuts, found: pa.Table) -> Passing:
    count = len(table)
    cut_bytes, came = cuts.num_bytes(count), np.diff(text_buffers(table["text"]).offsets)
    left = np.diff(text_buffers(texts).offsets)
    share = cut_bytes / np.maximum(came, 1)
    reasons, details = np.full(count, None, dtype=object), np.full(count, None, dtype=object)
    first_row, words = _longest_runs(table, found)
    holds = first_row >= 0
    named = pc.binary_join_element_wise(found["exam"], found["item"], ":").to_pylist()
    details[holds] = [f"{named[row]}, {words[row]} words" for row in first_row[holds].tolist()]
    if rule.action == "drop":
        reasons[holds] = "contaminated"
    reasons[share > rule.max_cut_share] = "mostly_contaminated"
    reasons[(left == 0) & (cut_bytes > 0)] = "empty"
    num_spans = np.bincount(cuts.texts, minlength=count)
    return Passing(STEP, table, texts, reasons, details, num_spans, {"removed_bytes": cut_bytes})


def _longest_runs(table: pa.Table, found: pa.Table) -> tuple[npt.NDArray[np.int64], list[int]]:
    """For each document the row of its longest run (the first of equals), or -1; and the words of every row."""
    words: list[int] = found["matched_words"].to_pylist()
    rows = pc.index_in(found["id"], table["id"].combine_chunks()).to_numpy()
    longest = np.full(len(table), -1)
    for row in range(len(rows) - 1, -1, -1):
        document = int(rows[row])
        if longest[document] < 0 or words[row] >= words[longest[document]]:
            longest[document] = row
    return longest, words
