"""corpus/judge: hold the figures of a shard or a ledger against the filters' thresholds. Reads no text.

Used by corpus.refine on what it measured, and by `whorl data whatif` on any ledger: one judgement, wherever figures lie.
"""

from collections.abc import Sequence

import pyarrow as pa

from whorl.core.errors import DataError
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Choice, Figure, Judged, Rule, judged, numbers

__all__ = ["judge"]

_ALWAYS = "edits"  # the step that drops a document of which nothing is left


def judge(filters: Sequence[Filter], figures: pa.Table) -> Judged:
    """Judge every row, filters in order. Raises DataError when a figure that a filter needs was not measured."""
    columns: dict[str, Figure] = {name: _whole(figures[name]) for name in figures.column_names}
    rules: list[tuple[str, Rule | Choice]] = [(_ALWAYS, Rule("empty", numbers(columns, "num_bytes"), at_least=1))]
    for rule in filters:
        try:
            rules += [(rule.use, one) for one in rule.rules(columns)]
        except KeyError as error:
            raise DataError(
                f"filter '{rule.use}' needs the figure {error}, which was not measured; run corpus.refine with this filter"
            ) from error
    return judged(rules, len(figures))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
