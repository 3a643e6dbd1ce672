"""A vocabulary with a mask, and batches laid by hand for those that hide tokens of them."""

import numpy as np
from toy_training import text

from whorl.core.seed import Seed
from whorl.tokens.batch import Batch
from whorl.tokens.learn import learn_tokenizer

MASKED = learn_tokenizer((text(n) for n in range(40)), size=300, mask=True)


def packed(rows: list[list[list[int]]], width: int) -> Batch:
    """Rows of documents, each given by its ids, as a loader would lay them."""
    shape = (len(rows), width)
    ids, docs, positions = np.zeros(shape, np.int64), np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
    for row, documents in enumerate(rows):
        left = 0
        for number, document in enumerate(documents):
            right = left + len(document)
            ids[row, left:right], docs[row, left:right] = document, number
            positions[row, left:right] = range(len(document))
            left = right
    names = tuple(tuple(f"doc-{row}-{number}" for number in range(len(documents))) for row, documents in enumerate(rows))
    return Batch(ids, np.zeros_like(ids), np.zeros(shape, np.float32), docs, positions, names)


def draw(number: int) -> np.random.Generator:
    return Seed(number).child("gaps").generator()
