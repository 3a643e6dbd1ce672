"""tokens/mixture: batches whose rows come from several sources in given proportions of tokens.

Like a Loader: `batch(step)` is a pure function of the seed, at the same cost for any step, and what a step read can be told
afterwards; document ids are written `source:id`. Each source has its own endless epochs. Rows are dealt without a draw
(tokens/interleave), so any beginning holds each source's share of rows, give or take less than one; shares of rows are the
weights divided by how many tokens an average row of the source holds, so that over epochs weights are shares of *tokens*,
whatever the sources lose to padding. Does not split a batch by source and does not choose weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whorl.core.errors import ConfigError, UsageError
from whorl.core.seed import Seed
from whorl.tokens.batch import Batch, Canvas
from whorl.tokens.interleave import Interleave
from whorl.tokens.loader import WHOLE, Share, check_places, check_shape, check_step
from whorl.tokens.packing import Pieces
from whorl.tokens.row_stream import OnLong, RowStream
from whorl.tokens.sequences import Sequences

__all__ = ["Mixture", "Source"]


@dataclass(frozen=True)
class Source:
    """One of the things that are mixed."""

    name: str  # in document ids; changes nothing else
    sequences: Sequences
    weight: float  # positive; its share of the tokens read is weight / sum of weights
    on_long: OnLong = "split"
    max_epochs: float | None = None  # passes it may be read at most; None: as many as it takes


class Mixture:
    """Batches of `rows` packed rows of `width` tokens; every row is of one source. The order of sources is part of the seed."""

    def __init__(self, sources: Sequence[Source], *, rows: int, width: int, seed: Seed) -> None:
        """Packs every source once.

        Raises DataError when a source has nothing to read, ConfigError for weights or names that cannot be told apart or kept.
        """
        check_shape(rows, width)
        self._names = [source.name for source in sources]
        if not sources or len(set(self._names)) < len(sources) or min(source.weight for source in sources) <= 0:
            weights = ", ".join(f"{source.name}: {source.weight:g}" for source in sources) or "nothing"
            raise ConfigError(f"want sources with different names and weights above 0, got {weights}")
        self._streams = [
            RowStream(source.sequences, width=width, seed=seed.child(f"source-{number}"), on_long=source.on_long)
            for number, source in enumerate(sources)
        ]
        tokens_per_row = [stream.num_tokens / stream.num_rows for stream in self._streams]
        self._order = Interleave([source.weight / each for source, each in zip(sources, tokens_per_row, strict=True)])
        self._rows, self._width = rows, width
        self.too_long: Final = sum(stream.too_long for stream in self._streams)  # sequences left out of every epoch
        self.fill: Final = float(self._order.shares @ np.array(tokens_per_row)) / width  # share of places that hold a token
        # As many whole steps as no source is read more often than it may be; None: no limit.
        self.max_steps: Final = self._steps_allowed([source.max_epochs for source in sources])

    @property
    def tokens_per_step(self) -> int:
        """Places in a batch, padding included: rows times width."""
        return self._rows * self._width

    def epochs(self, steps: int) -> Mapping[str, float]:
        """Passes over each source that so many steps are."""
        rows = [self._order.had(number, steps * self._rows) for number in range(len(self._names))]
        return {name: had / stream.num_rows for name, had, stream in zip(self._names, rows, self._streams, strict=True)}

    def batch(self, step: int, share: Share = WHOLE) -> Batch:
        """The rows of one step, counted from 0, or one rank's share of them. Raises UsageError for a negative step."""
        check_step(step)
        return self.stretch(range(step * self._rows, (step + 1) * self._rows), share)

    def stretch(self, places: range, share: Share = WHOLE) -> Batch:
        """The rows at neighbouring places, counted from 0, or one rank's share of them; see Loader.stretch."""
        check_places(places)
        mine = share.of(len(places))
        canvas = Canvas.bare(len(mine), self._width)
        names: list[tuple[str, ...]] = [()] * len(mine)
        for number, at, pieces in self._dealt(places[mine.start : mine.stop]):
            canvas.lay(self._streams[number].sequences, pieces, at)
            self._write_names(names, number, at, pieces)
        return canvas.batch(tuple(names))

    def documents(self, step: int) -> tuple[str, ...]:
        """Ids of the documents a step reads some of, each once, in the order of its rows."""
        check_step(step)
        return self.documents_in(range(step * self._rows, (step + 1) * self._rows))

    def documents_in(self, places: range) -> tuple[str, ...]:
        """Ids of the documents that some places hold, each once, in order."""
        check_places(places)
        names: list[tuple[str, ...]] = [()] * len(places)
        for number, at, pieces in self._dealt(places):
            self._write_names(names, number, at, pieces)
        return tuple(dict.fromkeys(name for row in names for name in row))

    def steps_of(self, doc_id: str, upto: int) -> list[int]:
        """The steps below `upto` that read some of a document, ascending; `doc_id` with its source, or without to ask all.

        Raises UsageError for an unknown id.
        """
        return sorted({place // self._rows for place in self.places_of(doc_id, upto * self._rows)})

    def places_of(self, doc_id: str, upto: int) -> list[int]:
        """The places below `upto` that hold some of a document, ascending; see `steps_of`."""
        source, _, inside = doc_id.partition(":")
        asked = [(self._names.index(source), inside)] if source in self._names else []
        asked += [(number, doc_id) for number in range(len(self._names))]
        found = [(number, name) for number, name in asked if len(self._streams[number].sequences.numbers(name))]
        if not found:
            raise UsageError(f"no document '{doc_id}' in {', '.join(self._names)}")
        return sorted({place for number, name in found for place in self._places_of(number, name, upto)})

    def _places_of(self, number: int, name: str, upto: int) -> Iterator[int]:
        stream, stop = self._streams[number], self._order.had(number, upto)
        documents = stream.sequences.numbers(name).tolist()
        for epoch in range(-(-stop // stream.num_rows)):
            for document in documents:
                own = epoch * stream.num_rows + stream.rows_of(document, epoch)
                yield from self._order.rows_of(number, own[own < stop]).tolist()

    def _dealt(self, places: range) -> Iterator[tuple[int, np.ndarray, Pieces]]:
        """Per source that some places are of: its number, which of the places are its, and their pieces."""
        turns = self._order.turns(places)
        for number in np.unique(turns.source).tolist():
            at = np.flatnonzero(turns.source == number)
            yield number, at, self._streams[number].pieces(turns.ordinal[at])

    def _write_names(self, names: list[tuple[str, ...]], number: int, at: np.ndarray, pieces: Pieces) -> None:
        for row, held in zip(at.tolist(), self._streams[number].names(pieces), strict=True):
            names[row] = tuple(f"{self._names[number]}:{name}" for name in held)

    def _steps_allowed(self, max_epochs: Sequence[float | None]) -> int | None:
        allowed = [
            int(most * stream.num_rows) for most, stream in zip(max_epochs, self._streams, strict=True) if most is not None
        ]
        capped = [number for number, most in enumerate(max_epochs) if most is not None]
        first_too_many = [self._order.rows_of(number, np.array([rows])) for number, rows in zip(capped, allowed, strict=True)]
        return min((int(row[0]) // self._rows for row in first_too_many), default=None)
