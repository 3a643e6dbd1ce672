"""tokens/loader: step number -> batch, from the seed alone.

`batch(step)` is a pure function: resuming is asking for the next step, on any number of workers or ranks, at the same cost for
any step, and which documents any step read can be told afterwards. Every epoch reads every target exactly once, and rows never
mix epochs: the last step of an epoch is filled up with empty rows. Every epoch has the same number of steps (tokens/packing
says why). Underneath lie numbered places, one row each, the empty ones among them: steps of changing size are stretches of
them. Several sources are mixed in tokens/mixture; fetching ahead is tokens/workers. Knows nothing of devices.
"""

from typing import Final, NamedTuple

import numpy as np

from whorl.core.errors import UsageError
from whorl.core.seed import Seed
from whorl.tokens.batch import Batch, Canvas
from whorl.tokens.row_stream import OnLong, RowStream
from whorl.tokens.sequences import Sequences

__all__ = ["WHOLE", "Loader", "Share", "check_places", "check_shape", "check_step"]


class Share(NamedTuple):
    """One of `ranks` neighbours that divide the rows of every step among them; together they read the whole step."""

    rank: int = 0
    ranks: int = 1

    def of(self, rows: int) -> range:
        """The rows of a step that are this rank's: neighbours, and as many as any other's or one more.

        Raises UsageError for a rank that is none, or ranks without rows.
        """
        if not 0 <= self.rank < self.ranks <= rows:
            raise UsageError(f"rank {self.rank} of {self.ranks} ranks over {rows} rows: want 0 <= rank < ranks <= rows")
        return range(self.rank * rows // self.ranks, (self.rank + 1) * rows // self.ranks)


WHOLE: Final = Share()


class Loader:
    """Batches of `rows` packed rows of `width` tokens."""

    def __init__(self, sequences: Sequences, *, rows: int, width: int, seed: Seed, on_long: OnLong = "split") -> None:
        """A sequence longer than a row is cut into pieces, fails or is skipped, by `on_long`.

        Raises DataError when nothing is left to read or, under `fail`, when a sequence is too long.
        """
        check_shape(rows, width)
        self._stream = RowStream(sequences, width=width, seed=seed, on_long=on_long)
        self._rows = rows
        self.too_long: Final = self._stream.too_long  # sequences left out of every epoch
        self.num_tokens: Final = self._stream.num_tokens  # tokens read in an epoch, padding apart

    @property
    def steps_per_epoch(self) -> int:
        """Batches in every epoch; the last one may be filled up with empty rows."""
        return -(-self._stream.num_rows // self._rows)

    @property
    def tokens_per_step(self) -> int:
        """Places in a batch, padding included: rows times width."""
        return self._rows * self._stream.width

    @property
    def fill(self) -> float:
        """Share of the places of an epoch that hold a token; the rest is padding."""
        return self.num_tokens / (self.steps_per_epoch * self.tokens_per_step)

    def epochs(self, steps: int) -> float:
        """Passes over the data that so many steps are."""
        return steps / self.steps_per_epoch

    def batch(self, step: int, share: Share = WHOLE) -> Batch:
        """The rows of one step, counted from 0 over all epochs, or one rank's share of them.

        Raises UsageError for a negative step.
        """
        check_step(step)
        return self.stretch(range(step * self._rows, (step + 1) * self._rows), share)

    def stretch(self, places: range, share: Share = WHOLE) -> Batch:
        """The rows at neighbouring places, counted from 0 over all epochs, or one rank's share of them.

        Raises UsageError for places before the first.
        """
        check_places(places)
        mine = share.of(len(places))
        held = self._held(places[mine.start : mine.stop])
        empty = np.setdiff1d(np.arange(len(mine)), held.at)
        pieces = self._stream.pieces(held.numbers).padded(len(mine))
        order = np.concatenate([held.at, empty])
        canvas = Canvas.bare(len(mine), self._stream.width)
        canvas.lay(self._stream.sequences, pieces, order)
        names = self._stream.names(pieces)
        return canvas.batch(tuple(names[row] for row in np.argsort(order).tolist()))

    def documents(self, step: int) -> tuple[str, ...]:
        """Ids of the documents a step reads some of, each once, in the order of its rows."""
        check_step(step)
        return self.documents_in(range(step * self._rows, (step + 1) * self._rows))

    def documents_in(self, places: range) -> tuple[str, ...]:
        """Ids of the documents that some places hold, each once, in order."""
        check_places(places)
        pieces = self._stream.pieces(self._held(places).numbers)
        return tuple(dict.fromkeys(self._stream.sequences.names(pieces.document)))

    def steps_of(self, doc_id: str, upto: int) -> list[int]:
        """The steps below `upto` that read some of a document, ascending. Raises UsageError for an unknown id."""
        return sorted({place // self._rows for place in self.places_of(doc_id, upto * self._rows)})

    def places_of(self, doc_id: str, upto: int) -> list[int]:
        """The places below `upto` that hold some of a document, ascending. Raises UsageError for an unknown id."""
        found = self._stream.sequences.numbers(doc_id).tolist()
        if not found:
            raise UsageError(f"no document '{doc_id}' among the {len(self._stream.sequences)} this loader reads")
        places: set[int] = set()
        for epoch in range(-(-upto // self._places_per_epoch)):
            for document in found:
                places.update((epoch * self._places_per_epoch + self._stream.rows_of(document, epoch)).tolist())
        return sorted(place for place in places if place < upto)

    @property
    def _places_per_epoch(self) -> int:
        return self.steps_per_epoch * self._rows

    def _held(self, places: range) -> "_Held":
        """The rows of some places; those that fill up an epoch's last step hold none."""
        epochs, insides = np.divmod(np.arange(places.start, places.stop), self._places_per_epoch)
        at = np.flatnonzero(insides < self._stream.num_rows)
        return _Held((epochs * self._stream.num_rows + insides)[at], at)


class _Held(NamedTuple):
    """Numbers of rows in the stream, and at which of the places asked for they lie."""

    numbers: np.ndarray
    at: np.ndarray


def check_shape(rows: int, width: int) -> None:
    """Raises UsageError for a batch without places."""
    if rows < 1 or width < 1:
        raise UsageError(f"rows={rows}, width={width}: want at least 1 of each")


def check_step(step: int) -> None:
    """Raises UsageError for a step before the first."""
    if step < 0:
        raise UsageError(f"step {step}: want 0 or more")


def check_places(places: range) -> None:
    """Raises UsageError for places before the first, none at all, or others than neighbours."""
    if places.start < 0 or not places or places.step != 1:
        raise UsageError(f"{places}: want neighbouring places from 0 on, at least one")
