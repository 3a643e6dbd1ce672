"""tokens/sequences: what a loader reads: numbered sequences of ids as columns, whether they are documents or dialogues.

One flat array of ids and, for every sequence, where it starts, how long it is and what it is called: no Python object per
sequence, so millions of them cost their columns. Does not pack, shuffle or read files.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.errors import DataError
from whorl.core.records import Dialogue
from whorl.tokens.renderer import Renderer
from whorl.tokens.shards import TokenShards

__all__ = ["Sequences", "dialogue_sequences", "joined_sequences", "text_sequences"]

_NO_WEIGHTS: Final = np.empty(0, np.float32)
_NO_WEIGHTS.flags.writeable = False


class Sequences:
    """Sequences in a fixed order. Arrays are views of the caller's and are only read."""

    def __init__(
        self, flat_ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray, *, names: pa.Array, flat_weights: np.ndarray
    ) -> None:
        """`starts` and `lengths` (int64) place each sequence in `flat_ids`, of any integer type.

        `flat_weights` (float32) is as long as `flat_ids`, or empty where every id but a sequence's first is predicted.
        """
        assert len(starts) == len(lengths) == len(names), "a sequence has one start, one length and one name"
        assert len(flat_weights) in (0, len(flat_ids)), "there is one weight for every id, or none at all"
        self.flat_ids: Final = flat_ids
        self.flat_weights: Final = flat_weights
        self.starts: Final = starts
        self._lengths = lengths
        self._names = names

    def __len__(self) -> int:
        return len(self._lengths)

    def lengths(self) -> np.ndarray:
        """Tokens of every sequence, int64."""
        return self._lengths

    def ids(self, index: int) -> np.ndarray:
        """Ids of one sequence; a read-only view in the type they are kept in: widen before arithmetic."""
        start = int(self.starts[index])
        return self.flat_ids[start : start + int(self._lengths[index])]

    def weights(self, index: int) -> np.ndarray:
        """Share in the loss of predicting each id of a sequence, float32; the first is never predicted."""
        start, length = int(self.starts[index]), int(self._lengths[index])
        if not len(self.flat_weights):
            return np.broadcast_to(np.float32(1), (length,))
        return self.flat_weights[start : start + length]

    def name(self, index: int) -> str:
        """The document's or dialogue's id."""
        return str(self._names[index].as_py())

    def names(self, indices: np.ndarray) -> list[str]:
        """Ids of several at once."""
        names: list[str] = self._names.take(pa.array(indices)).to_pylist()
        return names

    def numbers(self, name: str) -> np.ndarray:
        """The sequences of this name, ascending; none when it is unknown. One compiled pass over the names."""
        return np.flatnonzero(pc.equal(self._names, name).to_numpy(zero_copy_only=False))

    def chosen(self, indices: Sequence[int] | np.ndarray) -> "Sequences":
        """Some of them, in the order given; copies no ids."""
        at = np.asarray(indices, dtype=np.int64)
        names = self._names.take(pa.array(at))
        return Sequences(self.flat_ids, self.starts[at], self._lengths[at], names=names, flat_weights=self.flat_weights)


def text_sequences(shards: TokenShards) -> Sequences:
    """The documents of one part, read through the shards' memory map; every token after the first is predicted."""
    return Sequences(shards.ids, shards.starts, shards.lengths, names=shards.names, flat_weights=_NO_WEIGHTS)


def dialogue_sequences(dialogues: Sequence[Dialogue], renderer: Renderer) -> Sequences:
    """Rendered dialogues; what the assistant says, and the `<|end|>` after it, is predicted. Kept in memory as int32.

    Raises DataError naming the dialogue that is no conversation or in which the assistant says nothing.
    """
    rendered = renderer.render_dialogues(dialogues)
    for dialogue, one in zip(dialogues, rendered, strict=True):
        if not any(one.loss_mask):
            raise DataError(f"dialogue {dialogue.id}: no assistant turn, so nothing to learn; drop it or add the answer")
    lengths = np.array([len(one.ids) for one in rendered], dtype=np.int64)
    return Sequences(
        np.array([i for one in rendered for i in one.ids], dtype=np.int32),
        np.cumsum(lengths) - lengths,
        lengths,
        names=pa.array([dialogue.id for dialogue in dialogues], pa.large_string()),
        flat_weights=np.array([m for one in rendered for m in one.loss_mask], dtype=np.float32),
    )


def joined_sequences(many: Sequence[Sequences]) -> Sequences:
    """A few sequences of several sources as one; copies their ids."""
    lengths = np.concatenate([one.lengths() for one in many])
    return Sequences(
        np.concatenate([one.ids(index).astype(np.int64) for one in many for index in range(len(one))]),
        np.cumsum(lengths) - lengths,
        lengths,
        names=pa.array([one.name(index) for one in many for index in range(len(one))], pa.large_string()),
        flat_weights=np.concatenate([one.weights(index) for one in many for index in range(len(one))]),
    )
