"""bench/peer_scripts/minhash: rensa's signatures of some texts, shingled in Python the way its users do it.

Asked on standard input for `{"texts", "permutations", "shingle_words", "into"}` (`texts`: a JSON file); answers with the
CPU-seconds of both ways of calling it, one object per document and the bulk call, and writes the signatures to `into`, if it is
not empty, as unsigned 32-bit integers.
"""

import json
import re
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

from rensa import RMinHash, RMinHashDigestMatrix  # type: ignore[import-not-found]

WORD = re.compile(r"\w+")
SEED = 42


def shingles(text: str, width: int) -> list[str]:
    """Word n-grams as strings; a text shorter than one is one."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + width]) for i in range(max(1, len(words) - width + 1))]


def one_by_one(texts: Sequence[str], permutations: int, width: int) -> list[list[int]]:
    """A MinHash object per document."""
    rows = []
    for text in texts:
        minhash = RMinHash(num_perm=permutations, seed=SEED)
        minhash.update(shingles(text, width))
        rows.append(minhash.digest())
    return rows


def in_bulk(texts: Sequence[str], permutations: int, width: int) -> RMinHashDigestMatrix:
    """One call for all documents; the signatures stay in its matrix, nothing is copied out."""
    return RMinHash.digest_matrix_from_token_sets((shingles(text, width) for text in texts), permutations, SEED)


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    texts = json.loads(Path(question["texts"]).read_text(encoding="utf-8"))
    seconds = {}
    for way in (in_bulk, one_by_one):
        began = time.process_time()
        rows = way(texts, question["permutations"], question["shingle_words"])
        seconds[way.__name__] = time.process_time() - began
    if question["into"]:
        with Path(question["into"]).open("wb") as handle:
            for row in rows:
                array("I", row).tofile(handle)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
