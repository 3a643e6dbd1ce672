"""bench/minhash: signatures from text, beside rensa on the same documents: speed, error, and recall against theory.

Speed: CPU-seconds of one process and one thread for everything from Python strings to a table of signatures, in turns, medians;
rensa is called both ways and the faster counts. Documents: movie_reviews, state_union and the datajuicer files, cut at 20,000
characters. Error: mean absolute difference between estimated and exact Jaccard similarity of word 5-grams, for copies of the
documents with edited words; texts are plain lower-case words there, so both sides have the same shingles. Recall: the share of
such pairs that meet in 14 bands of 8 against what their exact similarities predict, also for texts of 64 words, whose few
shingles are sampled without replacement. Exits 1 when a bar is missed.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.machine import machine
from bench.peers import ask_peer, peer_python, real_data
from bench.real_texts import edited, plain_words, web_documents, zipped_texts
from whorl.text.batch import TextBatch
from whorl.text.lsh import band_codes, recall_at
from whorl.text.minhash import signatures, similarity

PEER = ("rensa==0.5.0",)
SCRIPT = Path(__file__).parent / "peer_scripts" / "minhash.py"
PERMUTATIONS, BANDS, BAND_ROWS, SHINGLE_WORDS = 128, 14, 8, 5
NUM_WORDS, SHORT_WORDS = 1000, 64  # of texts that are compared, at most
ROUNDS = 9
BATCH_DOCUMENTS = 400  # about 2 MB of text at a time, so that words stay in the cache until they are shingled
MIN_RATIO = 4.5
MAX_RECALL_GAP = 0.02
ERROR_RATES = {0.90: 0.0105, 0.62: 0.052, 0.40: 0.105}  # similarity it comes to, about -> share of words edited
RECALL_RATES = (0.0105, 0.022, 0.034, 0.048, 0.07)  # similarities of about .9 .8 .7 .6 .5
Table = npt.NDArray[np.uint32]


class Pairs(NamedTuple):
    """Texts and edited copies of them, with the exact similarity of each pair's shingles."""

    lefts: list[str]
    rights: list[str]
    exact: npt.NDArray[np.float64]


def main() -> int:
    """Measure, print a table, print the JSON line."""
    root = real_data()
    reviews = zipped_texts(root, "movie_reviews")
    texts = [text[:20_000] for text in [*reviews, *zipped_texts(root, "state_union"), *web_documents(root)]]
    python = peer_python("minhash", PEER)
    figures = _speed(texts, python) | _errors(reviews, python) | {"bands": BANDS, "rows": BAND_ROWS}
    figures |= {"recall": _recall(reviews, NUM_WORDS), "recall_of_short": _recall(reviews, SHORT_WORDS)}
    missed = _missed(figures)
    print(json.dumps({"bench": "minhash", **figures, "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def _speed(texts: Sequence[str], python: Path | None) -> dict[str, Any]:
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    _signed(texts[:10], PERMUTATIONS)  # compiled, not timed
    ours, peer = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        for _ in range(ROUNDS):
            began = time.process_time()
            _signed(texts, PERMUTATIONS)
            ours.append(megabytes / (time.process_time() - began))
            if python is not None:
                seconds = ask_peer(python, SCRIPT, _question(path, ""))["seconds"]
                peer.append({way: megabytes / took for way, took in seconds.items()})
    fastest = max(statistics.median(rates[way] for rates in peer) for way in peer[0]) if peer else None
    rate = statistics.median(ours)
    shown = "not measured" if fastest is None else f"{fastest:.1f}"
    print(
        f"{len(texts)} documents, {megabytes:.1f} MB, {PERMUTATIONS} permutations: "
        f"ours {rate:.1f}, rensa {shown} MB per CPU-second"
    )
    return {
        "ours": round(rate, 2),
        "peer": None if fastest is None else round(fastest, 2),
        "ratio": None if fastest is None else round(rate / fastest, 3),
        "unit": "MB of text per CPU-second, strings to signatures",
        "n": len(texts),
        "spread": [round(min(ours), 2), round(max(ours), 2)],
        "permutations": PERMUTATIONS,
        "documents": "nltk movie_reviews, state_union; datajuicer stack_exchange, arxiv, redpajama; 20,000 characters each",
    }


def _errors(reviews: Sequence[str], python: Path | None) -> dict[str, Any]:
    """Mean absolute error of both sides at each similarity, and the paired difference with its standard error."""
    rows = []
    for target, rate in ERROR_RATES.items():
        pairs = _pairs(reviews, rate, seed=f"errors {target}", num_words=NUM_WORDS)
        found = {"ours": _estimated(pairs, _signed([*pairs.lefts, *pairs.rights], PERMUTATIONS))}
        if python is not None:
            found["peer"] = _estimated(pairs, _peer_signed(python, [*pairs.lefts, *pairs.rights]))
        error = {side: np.abs(estimate - pairs.exact) for side, estimate in found.items()}
        more = error["ours"] - error.get("peer", error["ours"])
        row = {"similarity": round(float(pairs.exact.mean()), 3), "n": len(more)}
        row |= {side: round(float(values.mean()), 5) for side, values in error.items()}
        row |= {"difference": round(float(more.mean()), 5), "se": round(float(more.std() / len(more) ** 0.5), 5)}
        rows.append(row)
        print(
            f"similarity {row['similarity']:.3f}: mean absolute error {row['ours']:.4f}, rensa {row.get('peer')} (n={row['n']})"
        )
    return {"errors": rows}


def _recall(reviews: Sequence[str], num_words: int) -> list[dict[str, Any]]:
    """Share of pairs that share a band, and what the exact similarities of these very pairs predict."""
    rows = []
    for rate in RECALL_RATES:
        pairs = _pairs([*reviews, *reviews], rate, seed=f"recall {rate}", num_words=num_words)
        table = _signed([*pairs.lefts, *pairs.rights], BANDS * BAND_ROWS)
        count = len(pairs.lefts)
        meets = np.zeros(count, dtype=np.bool_)
        for held, codes in band_codes(table, BANDS):
            assert len(held) == len(table), "every text has words"
            meets |= codes[:count] == codes[count:]
        theory = float(np.mean(recall_at(pairs.exact.tolist(), bands=BANDS, rows=BAND_ROWS)))
        row = {"similarity": round(float(pairs.exact.mean()), 3), "recall": round(float(meets.mean()), 4)}
        rows.append(row | {"theory": round(theory, 4), "n": count})
        shown = f"up to {num_words} words, similarity {row['similarity']:.3f}"
        print(f"{shown}: {row['recall']:.1%} meet in {BANDS} bands of {BAND_ROWS}, theory {theory:.1%}")
    return rows


def _signed(texts: Sequence[str], permutations: int) -> Table:
    column = pa.array(texts, pa.large_string())
    batches = [TextBatch(column.slice(begin, BATCH_DOCUMENTS)) for begin in range(0, len(texts), BATCH_DOCUMENTS)]
    return np.concatenate([signatures(batch.words, permutations, shingle_words=SHINGLE_WORDS) for batch in batches])


def _peer_signed(python: Path, texts: Sequence[str]) -> Table:
    with tempfile.TemporaryDirectory() as folder:
        path, into = Path(folder) / "texts.json", Path(folder) / "signatures"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        ask_peer(python, SCRIPT, _question(path, str(into)))
        return np.fromfile(into, dtype=np.uint32).reshape(-1, PERMUTATIONS)


def _question(texts: Path, into: str) -> dict[str, Any]:
    return {"texts": str(texts), "permutations": PERMUTATIONS, "shingle_words": SHINGLE_WORDS, "into": into}


def _estimated(pairs: Pairs, table: Table) -> npt.NDArray[np.float64]:
    count = len(pairs.lefts)
    return similarity(table[:count], table[count:])


def _pairs(texts: Sequence[str], rate: float, *, seed: str, num_words: int) -> Pairs:
    chooser = random.Random(seed)
    lefts = [plain_words(text)[:num_words] for text in texts]
    rights = [edited(words, rate, chooser) for words in lefts]
    exact = [_jaccard(left, right) for left, right in zip(lefts, rights, strict=True)]
    return Pairs([" ".join(words) for words in lefts], [" ".join(words) for words in rights], np.array(exact))


def _jaccard(left: Sequence[str], right: Sequence[str]) -> float:
    first, second = (
        {tuple(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)} for words in (left, right)
    )
    return len(first & second) / len(first | second)


def _missed(figures: dict[str, Any]) -> list[str]:
    missed = ["no peer"] if figures["ratio"] is None else []
    if figures["ratio"] is not None and figures["ratio"] < MIN_RATIO:
        missed.append(f"ratio {figures['ratio']} < {MIN_RATIO}")
    # Two standard errors: what two equally good sets of permutations differ by on these pairs.
    worse = [row for row in figures["errors"] if row["difference"] > 2 * row["se"]]
    missed += [f"error at {row['similarity']}: {row['ours']} > {row['peer']}" for row in worse]
    rows = [*figures["recall"], *figures["recall_of_short"]]
    off = [row for row in rows if abs(row["recall"] - row["theory"]) > MAX_RECALL_GAP]
    return missed + [f"recall at {row['similarity']}: {row['recall']} against {row['theory']}" for row in off]


if __name__ == "__main__":
    sys.exit(main())
