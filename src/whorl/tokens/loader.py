"""tokens/loader: step number -> batch, from the seed alone.

`batch(step)` is a pure function: resuming is asking for the next step, on any number of workers, and which documents any step
read can be told afterwards. Every epoch reads every target exactly once, and rows never mix epochs: the last step of an
epoch is filled up with empty rows. Every epoch has the same number of steps (tokens/packing says why). Does not prefetch and
knows nothing of ranks or devices.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, Protocol

import numpy as np

from whorl.core.errors import DataError, UsageError
from whorl.core.records import Dialogue
from whorl.core.seed import Seed
from whorl.tokens.batch import Batch
from whorl.tokens.packing import Epoch, Piece, Plan
from whorl.tokens.renderer import Renderer
from whorl.tokens.shards import TokenShards

__all__ = ["DialogueSequences", "Loader", "Sequences", "TextSequences"]


class Sequences(Protocol):
    """What a loader reads: numbered sequences of ids, in a fixed order."""

    def __len__(self) -> int:
        """How many sequences."""
        ...

    def lengths(self) -> np.ndarray:
        """Tokens of every sequence, int64: what packing needs, without reading ids."""
        ...

    def ids(self, index: int) -> np.ndarray:
        """Ids of one sequence, of any integer type; may be a read-only view."""
        ...

    def weights(self, index: int) -> np.ndarray:
        """Share in the loss of predicting each id, as long as `ids`, float32; the first is never predicted."""
        ...

    def name(self, index: int) -> str:
        """The document's or dialogue's id."""
        ...


class TextSequences:
    """The documents of one part; every token after the first is predicted."""

    def __init__(self, shards: TokenShards) -> None:
        """Reads through the shards' memory map."""
        self._shards = shards

    def __len__(self) -> int:
        return self._shards.num_docs

    def lengths(self) -> np.ndarray:
        """See Sequences.lengths."""
        return self._shards.lengths

    def ids(self, index: int) -> np.ndarray:
        """See Sequences.ids."""
        return self._shards.doc(index)

    def weights(self, index: int) -> np.ndarray:
        """All ones, held as a single number."""
        return np.broadcast_to(np.float32(1), (int(self._shards.lengths[index]),))

    def name(self, index: int) -> str:
        """See Sequences.name."""
        return self._shards.doc_id(index)


class DialogueSequences:
    """Rendered dialogues; what the assistant says, and the `<|end|>` after it, is predicted. Kept in memory as int32."""

    def __init__(self, dialogues: Sequence[Dialogue], renderer: Renderer) -> None:
        """Raises DataError naming the dialogue that is no conversation or in which the assistant says nothing."""
        rendered = renderer.render_dialogues(dialogues)
        for dialogue, one in zip(dialogues, rendered, strict=True):
            if not any(one.loss_mask):
                raise DataError(f"dialogue {dialogue.id}: no assistant turn, so nothing to learn; drop it or add the answer")
        self._names = [dialogue.id for dialogue in dialogues]
        self._lengths = np.array([len(one.ids) for one in rendered], dtype=np.int64)
        self._bounds = np.concatenate([[0], np.cumsum(self._lengths)])
        self._ids = np.array([i for one in rendered for i in one.ids], dtype=np.int32)
        self._weights = np.array([m for one in rendered for m in one.loss_mask], dtype=np.float32)

    def __len__(self) -> int:
        return len(self._names)

    def lengths(self) -> np.ndarray:
        """See Sequences.lengths."""
        return self._lengths

    def ids(self, index: int) -> np.ndarray:
        """See Sequences.ids."""
        return self._ids[self._bounds[index] : self._bounds[index + 1]]

    def weights(self, index: int) -> np.ndarray:
        """See Sequences.weights."""
        return self._weights[self._bounds[index] : self._bounds[index + 1]]

    def name(self, index: int) -> str:
        """See Sequences.name."""
        return self._names[index]


class Loader:
    """Batches of `rows` packed rows of `width` tokens."""

    def __init__(
        self,
        sequences: Sequences,
        *,
        rows: int,
        width: int,
        seed: Seed,
        split_long: bool = True,
        on_long: Literal["fail", "skip"] = "fail",
    ) -> None:
        """With `split_long`, a sequence longer than a row is cut into pieces; else it fails or is skipped, by `on_long`.

        Raises DataError when nothing is left to read or, under `fail`, when a sequence is too long.
        """
        if rows < 1 or width < 1:
            raise UsageError(f"rows={rows}, width={width}: want at least 1 of each")
        self._sequences = sequences
        self._rows = rows
        self._seed = seed
        self._cached: tuple[int, Epoch] | None = None
        lengths = np.asarray(sequences.lengths(), dtype=np.int64)
        is_too_long = np.zeros(len(lengths), dtype=bool) if split_long else lengths > width
        self.too_long: Final = int(is_too_long.sum())  # sequences left out of every epoch
        if self.too_long and on_long == "fail":
            raise _too_long(sequences, lengths, width)
        self._plan = Plan(np.where(is_too_long, 0, lengths), width)
        self.num_tokens: Final = int(lengths[~is_too_long].sum())  # tokens read in an epoch, padding apart
        if not self.num_tokens:
            raise DataError(f"nothing to read: {len(lengths)} sequences, {self.too_long} of them longer than width={width}")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in every epoch; the last one may be filled up with empty rows."""
        return -(-self._plan.num_rows // self._rows)

    @property
    def tokens_per_step(self) -> int:
        """Places in a batch, padding included: rows times width."""
        return self._rows * self._plan.width

    @property
    def fill(self) -> float:
        """Share of the places of an epoch that hold a token; the rest is padding."""
        return self.num_tokens / (self.steps_per_epoch * self.tokens_per_step)

    def batch(self, step: int) -> Batch:
        """The batch of one step, counted from 0 over all epochs. Raises UsageError for a negative step."""
        shape = (self._rows, self._plan.width)
        ids, targets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        weights, positions = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
        docs = np.full(shape, -1, np.int32)
        names = []
        for row, pieces in enumerate(self._pieces(step)):
            names.append(tuple(self._sequences.name(piece.document) for piece in pieces))
            left = 0
            for number, piece in enumerate(pieces):
                right = left + piece.length
                self._copy(piece, ids[row, left:right], targets[row, left:right], weights[row, left:right])
                docs[row, left:right] = number
                positions[row, left:right] = np.arange(piece.length)
                left = right
        return Batch(ids, targets, weights, docs, positions, tuple(names))

    def documents(self, step: int) -> tuple[str, ...]:
        """Ids of the documents a step reads some of, each once, in the order of its rows."""
        numbers = dict.fromkeys(piece.document for pieces in self._pieces(step) for piece in pieces)
        return tuple(self._sequences.name(number) for number in numbers)

    def steps_of(self, doc_id: str, upto: int) -> list[int]:
        """The steps below `upto` that read some of a document, ascending. Raises UsageError for an unknown id."""
        numbers = [number for number in range(len(self._sequences)) if self._sequences.name(number) == doc_id]
        if not numbers:
            raise UsageError(f"no document '{doc_id}' among the {len(self._sequences)} this loader reads")
        steps: set[int] = set()
        for epoch in range(-(-upto // self.steps_per_epoch)):
            places = (place for number in numbers for place in self._epoch(epoch).places_of(number))
            steps.update(epoch * self.steps_per_epoch + place // self._rows for place in places)
        return sorted(step for step in steps if step < upto)

    def _copy(self, piece: Piece, ids: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """Fill one piece's places; a document's last token has no target."""
        source = self._sequences.ids(piece.document)
        start, stop = piece.start, piece.start + piece.length
        ids[:] = source[start:stop]
        num_targets = min(stop + 1, len(source)) - start - 1
        targets[:num_targets] = source[start + 1 : stop + 1]
        weights[:num_targets] = self._sequences.weights(piece.document)[start + 1 : stop + 1]

    def _pieces(self, step: int) -> Iterator[list[Piece]]:
        """The pieces of each row of a step; empty rows at the end of an epoch."""
        if step < 0:
            raise UsageError(f"step {step}: want 0 or more")
        number, index = divmod(step, self.steps_per_epoch)
        epoch = self._epoch(number)
        for place in range(index * self._rows, (index + 1) * self._rows):
            yield epoch.row(place) if place < self._plan.num_rows else []

    def _epoch(self, number: int) -> Epoch:
        # The pair is replaced in one assignment: threads that share a loader at worst draw the same epoch twice.
        cached = self._cached
        if cached is None or cached[0] != number:
            cached = (number, self._plan.epoch(self._seed.child(f"epoch-{number}")))
            self._cached = cached
        return cached[1]


def _too_long(sequences: Sequences, lengths: np.ndarray, width: int) -> DataError:
    longest = int(lengths.argmax())
    return DataError(
        f"{int((lengths > width).sum())} of {len(lengths)} sequences do not fit a row of width={width}; the longest, "
        f"{sequences.name(longest)}, has {int(lengths[longest])} tokens; raise width, or skip them with on_long: skip"
    )
