"""evals/texts: the text behind token shards, for baselines that read bytes: the same documents, or an error.

A baseline on other documents than the model's would be no comparison: ids, order and byte lengths must agree.
"""

from pathlib import Path

from whorl.core.config import Part
from whorl.core.errors import DataError
from whorl.core.shards import iter_tables
from whorl.tokens.shards import TokenShards

__all__ = ["text_behind"]


def text_behind(documents: Path, tokens: Path, part: Part) -> list[bytes]:
    """UTF-8 of every document of a part, in the order of the token shards.

    Raises DataError when the documents folder does not hold exactly the documents the shards were made from.
    """
    shards = TokenShards.open(tokens, part)
    texts: dict[str, bytes] = {}
    for table in iter_tables(documents, columns=("id", "text", "part")):
        columns = zip(table["id"].to_pylist(), table["text"].to_pylist(), table["part"].to_pylist(), strict=True)
        texts.update((doc_id, text.encode()) for doc_id, text, own in columns if own == part)
    wanted = [shards.doc_id(i) for i in range(shards.num_docs)]
    absent, extra = set(wanted) - set(texts), set(texts) - set(wanted)
    if absent or extra:
        raise DataError(
            f"part '{part}': {len(absent)} documents of the token shards are not among the documents and {len(extra)} "
            f"documents are not in the shards (for example {min(absent or extra)}); "
            "set `documents` to the corpus that tokens.encode read"
        )
    for i, doc_id in enumerate(wanted):
        if len(texts[doc_id]) != shards.doc_bytes(i):
            raise DataError(
                f"document {doc_id}: {len(texts[doc_id])} bytes of text, but its tokens stand for {shards.doc_bytes(i)}; "
                "set `documents` to the corpus that tokens.encode read"
            )
    return [texts[doc_id] for doc_id in wanted]
