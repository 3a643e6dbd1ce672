"""compress/stages/export: checkpoint -> the same model in a format of somebody else's tools.

What comes out is for those tools; no stage reads it. Which formats there are is the door compress/exports.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from whorl.compress.exports import Export
from whorl.core.config import Ref
from whorl.core.stage import Job, Stage

__all__ = ["ExportModel"]


class ExportModel(Stage):
    """One checkpoint in one format."""

    makes: ClassVar[str] = "export"

    from_: Ref[Literal["checkpoint"]] = Field(alias="from")
    format: Export

    def run(self, job: Job) -> Mapping[str, Any]:
        """Write the format's files. Raises DataError for a model that it cannot hold."""
        return self.format.write(job.open(self.from_).path, job.folder)
