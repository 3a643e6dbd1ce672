"""bench/peer_scripts/dedup: the pairs of texts that datatrove's MinHash finds in a common bucket.

Asked on standard input for `{"texts", "buckets", "hashes", "shingle_words", "rounds"}` (`texts`: a JSON file); answers with the
pairs and with the CPU-seconds of every round of signing and matching. Its words are those of its default English tokenizer.
"""

import json
import logging
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from loguru import logger  # type: ignore[import-not-found]


def pairs_of(texts: Sequence[str], config: MinhashConfig) -> list[list[int]]:
    """Pairs of numbers of texts that agree on a bucket and are neighbours there."""
    with tempfile.TemporaryDirectory() as folder:
        documents = (Document(text=text, id=str(number)) for number, text in enumerate(texts))
        MinhashDedupSignature(f"{folder}/signatures", config).run(documents, 0, 1)
        matching = MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/pairs", config=config)
        for bucket in range(config.num_buckets):
            matching.run(None, bucket, config.num_buckets)
        data = b"".join(path.read_bytes() for path in sorted(Path(f"{folder}/pairs").glob("*.dups")))
    return [[left, right] for _, left, _, right in struct.iter_unpack("<4I", data)]


def main() -> None:
    """Answer one question."""
    logger.remove()
    logging.disable(logging.WARNING)
    question = json.load(sys.stdin)
    texts = json.loads(Path(question["texts"]).read_text(encoding="utf-8"))
    config = MinhashConfig(
        n_grams=question["shingle_words"], num_buckets=question["buckets"], hashes_per_bucket=question["hashes"]
    )
    pairs_of(texts[:2], config)  # loads the tokenizer, not timed
    seconds = []
    for _ in range(question["rounds"]):
        began = time.process_time()
        pairs = pairs_of(texts, config)
        seconds.append(time.process_time() - began)
    print(json.dumps({"pairs": pairs, "seconds": seconds}))


if __name__ == "__main__":
    main()
