"""corpus/document_batch: documents as a filter sees them: columns, text after edits, and what the recipe refers to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from whorl.core.config import Ref
from whorl.text.batch import TextBatch

__all__ = ["DocumentBatch"]


@dataclass(frozen=True)
class DocumentBatch:
    """Some documents (columns of whorl.core.records.DOCUMENTS). Statistics are computed once, whoever asks first."""

    documents: pa.Table
    folders: Mapping[str, Path] = field(default_factory=dict)  # reference target -> its finished artifact
    root: Path = field(default_factory=Path)  # the project folder: paths in a recipe are relative to it

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def texts(self) -> TextBatch:
        """The texts, with words and statistics shared by everyone who looks at this batch."""
        return TextBatch(self.column("text"))

    def column(self, name: str) -> pa.Array:
        """One column as one array."""
        column = self.documents[name]
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def folder(self, reference: "Ref[Any]") -> Path:
        """The finished artifact a filter's field refers to."""
        return self.folders[reference.target]
