"""corpus/group_keys: what documents are kept together by, so that a page and its neighbours never part."""

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["GroupBy", "group_keys"]

# A page is the host and path of the URL, or the source where there is none.
GroupBy = Literal["page", "source", "url", "id"]
_NOT_IN_PAGE = r"^[A-Za-z][A-Za-z0-9+.-]*://|[?#].*$"


def group_keys(documents: pa.Table, group_by: GroupBy) -> pa.ChunkedArray:
    """The key of each document; one without a value stands alone under its id. Reads `id` and what `group_by` needs."""
    if group_by == "page":
        page = pc.replace_substring_regex(documents["url"], _NOT_IN_PAGE, "")
        return pc.coalesce(page, documents["source"], documents["id"])
    return pc.coalesce(documents[group_by], documents["id"])
