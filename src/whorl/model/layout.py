"""model/layout: where the tensors of a model lie in a public checkpoint, declared once and read both ways.

A layout says for each of our parameters under which public name it is stored and in which shape: as it is, transposed, as a
part of a joined matrix, or cut into one tensor per expert. Reading and writing are then the same walk. Does not open files
(model/checkpoint) or read config.json (model/hub).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Entry", "Layout", "Piece", "Stored"]

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True)
class Stored:
    """The place of one of our tensors. In `name`, {} is the number of the block and {e} that of the expert.

    A name with {e} stores each leading slice of our (e, out, in) tensor by itself. Tensors that share a name are joined
    along their rows (out) in the order of `part`; only then is the whole transposed if it is `flipped`.
    """

    name: str
    flipped: bool = False  # stored (in, out)
    part: int = 0


class Piece(NamedTuple):
    """What one public tensor holds of one of ours: all its rows, or those of one expert."""

    ours: str
    expert: int | None
    start: int  # first row within the public tensor before it is flipped
    rows: int

    def within(self, tensor: Tensor) -> Tensor:
        """The view of our tensor that this piece fills."""
        return tensor if self.expert is None else tensor[self.expert]


@dataclass(frozen=True)
class Entry:
    """One public tensor and the pieces of ours that it is made of."""

    name: str
    shape: tuple[int, ...]
    flipped: bool
    pieces: tuple[Piece, ...]

    def gathered(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The public tensor made from ours: a view where nothing is joined or turned."""
        parts = [piece.within(weights[piece.ours]) for piece in self.pieces]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=_rows_axis(parts[0].ndim))
        return whole.transpose(-1, -2) if self.flipped else whole

    def scatter(self, public: Tensor, into: Mapping[str, Tensor]) -> None:
        """Copy a public tensor to where it belongs in ours; dtype and device become those of ours."""
        whole = public.transpose(-1, -2) if self.flipped else public
        for piece in self.pieces:
            rows = whole.narrow(_rows_axis(whole.ndim), piece.start, piece.rows) if whole.ndim else whole
            piece.within(into[piece.ours]).copy_(rows)


@dataclass(frozen=True)
class Layout:
    """A family's way of storing weights. `keys` maps our names to public ones; a plain string is a mere renaming.

    What follows `keys` is for reading only: files in the wild hold less, more and older names than the model needs.
    """

    keys: Mapping[str, str | Stored]
    prefix: str = ""  # of public names; files saved from a model without its head leave it out
    copies: Mapping[str, str] = field(default_factory=dict)  # public name -> ours: stored twice by some; must be equal
    ignored: tuple[str, ...] = ()  # public names that hold no weights: masks, position tables; {} is any number
    renamed: Mapping[str, str] = field(default_factory=dict)  # older endings of public names -> today's

    def entries(self, shapes: Shapes) -> dict[str, Entry]:
        """Every public tensor of a model whose tensors have these shapes, by name, in the model's order."""
        found: dict[str, list[tuple[Stored, Piece]]] = {}
        for ours, shape in shapes.items():
            stored, number = self._stored(ours)
            has_experts = "{e}" in stored.name
            for expert in range(shape[0]) if has_experts else [None]:
                inner = shape[1:] if has_experts else shape
                name = stored.name.format(number, e=expert)
                found.setdefault(name, []).append((stored, Piece(ours, expert, 0, _rows(inner))))
        return {name: _entry(name, parts, shapes) for name, parts in found.items()}

    def holds(self, ours: str) -> bool:
        """Whether the layout has a place for a tensor of ours."""
        return _pattern(ours)[0] in self.keys

    def canonical(self, name: str, known: Iterable[str]) -> str:
        """A name found in a file as today's writers would have it: new ending, prefix in place."""
        known = known if isinstance(known, (set, frozenset, dict)) else set(known)
        for old, new in self.renamed.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        prefixed = self.prefix + name
        whole = name in known or not (prefixed in known or self.is_ignored(prefixed) or prefixed in self.copies)
        return name if whole else prefixed

    def is_ignored(self, name: str) -> bool:
        """Whether a public name holds something that is no weight."""
        return _pattern(name)[0] in self.ignored

    def _stored(self, ours: str) -> tuple[Stored, str]:
        pattern, number = _pattern(ours)
        assert pattern in self.keys, f"the layout has no place for '{ours}'"
        stored = self.keys[pattern]
        return (Stored(stored) if isinstance(stored, str) else stored), number


def _pattern(name: str) -> tuple[str, str]:
    """A name with {} for its number, and the number ('' if none)."""
    parts = name.split(".")
    number = next((part for part in parts if part.isdigit()), "")
    return ".".join("{}" if part.isdigit() else part for part in parts), number


def _rows_axis(ndim: int) -> int:
    """Rows are the axis before the last; of vectors, the only one."""
    return max(ndim - 2, 0)


def _rows(shape: torch.Size) -> int:
    return shape[_rows_axis(len(shape))] if shape else 1


def _entry(name: str, parts: list[tuple[Stored, Piece]], shapes: Shapes) -> Entry:
    parts = sorted(parts, key=lambda part: part[0].part)
    numbers = [stored.part for stored, _ in parts]
    assert len(set(numbers)) == len(parts), f"{name}: parts {numbers} share a place"
    pieces, start = [], 0
    for _, piece in parts:
        pieces.append(piece._replace(start=start))
        start += piece.rows
    first = parts[0][1]
    shape = list(shapes[first.ours] if first.expert is None else shapes[first.ours][1:])
    if shape:
        shape[_rows_axis(len(shape))] = start
    flipped = parts[0][0].flipped and len(shape) > 1
    if flipped:
        shape[-2:] = reversed(shape[-2:])
    return Entry(name, tuple(shape), flipped, tuple(pieces))
