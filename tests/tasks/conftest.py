import json

import pyarrow as pa
import pytest

from whorl.core.records import DOCUMENTS
from whorl.core.shards import shard_path, write_table


@pytest.fixture(scope="session")
def named_folder(tmp_path_factory):
    """A documents folder: 60 training documents about named things, and some that are no fit."""
    rows = [
        row(f"d{i}", f"box.tool{i}", f"Return the number {i} of the box.\n\nMore about the box.", "train") for i in range(60)
    ]
    rows += [
        row("twice-a", "box.twice", "Return one thing of two.", "train"),
        row("twice-b", "box.twice", "Return another thing of two.", "train"),
        row("short", "box.short", "Too short.", "train"),
        row("lower", "box.lower", "return what begins with a small letter.", "train"),
        row("unseen", "box.unseen", "Return what no training shows.", "exam"),
        row("private", "box._hidden.tool", "Return what is nobody's business.", "train"),
        row("inner", "box.tool.<locals>.inner", "Return what is inside a function.", "train"),
        row("nameless", None, "Prose about nothing in particular.", "train"),
    ]
    folder = tmp_path_factory.mktemp("documents")
    write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS), shard_path(folder, "documents", 0))
    return folder


def row(doc_id, name, text, part):
    meta = json.dumps({"name": name} if name else {})
    return {"id": doc_id, "text": text, "source": "test", "part": part, "meta": meta}
