"""bench/dedup: near duplicates found by our bands and by datatrove's, both verified by exact Jaccard similarity.

Texts: movie_reviews, state_union and the datajuicer files, cut at 20,000 characters, with an edited copy of every second one at
known rates, beside what they hold of natural copies. Both sides use 14 bands of 8 entries over word 5-grams, each with its own
words and hashes. Candidates are closed to groups, as both deduplicate by groups, and every pair within a group counts when the
exact similarity of its 5-grams reaches the threshold; shingles for that are sets of Python strings, neither side's own. The
truth is every such pair of the whole set, found without MinHash. `f1` compares the two verified sets; `ours` and `peer` are the
shares of the truth each one finds. Exits 1 when a bar is missed.
"""

import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.machine import machine
from bench.peers import ask_peer, peer_python, real_data
from bench.real_texts import edited, web_documents, zipped_texts
from whorl.corpus.groups import components
from whorl.text.batch import TextBatch
from whorl.text.lsh import candidate_pairs, linked_pairs, recall_at
from whorl.text.minhash import signatures

PEER = ("datatrove==0.10.1", "spacy==3.8.7", "tokenizers==0.22.1", "orjson", "xxhash<4", "regex", "numpy<3")
SCRIPT = Path(__file__).parent / "peer_scripts" / "dedup.py"
BANDS, BAND_ROWS, SHINGLE_WORDS = 14, 8, 5
THRESHOLD = 0.8
EDIT_RATES = (0.0, 0.005, 0.01, 0.02, 0.05)
ROUNDS = 3
MIN_F1 = 0.98
_WORD = re.compile(r"\w+")
Pair = tuple[int, int]


def main() -> int:
    """Measure, print a table, print the JSON line."""
    texts, planted = _texts(real_data())
    truth = _truth(texts)
    ours, rates = _ours(texts)
    peer, peer_rates = _peer(texts)
    found = {"ours": _verified(ours, len(texts), truth)} | (
        {} if peer is None else {"peer": _verified(peer, len(texts), truth)}
    )
    figures: dict[str, Any] = {side: _recall(pairs, truth) for side, pairs in found.items()}
    figures["f1"] = _f1(found["ours"], found["peer"]) if "peer" in found else None
    missed = _missed(figures)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    line = {
        "bench": "dedup",
        "ours": figures["ours"],
        "peer": figures.get("peer"),
        "ratio": round(figures["ours"] / figures["peer"], 4) if "peer" in figures else None,
        "unit": f"share of pairs with exact similarity of at least {THRESHOLD} that are found",
        "n": len(truth),
        "spread": None,
        "machine": machine(),
        "f1": figures["f1"],
        "documents": len(texts),
        "planted": len(planted),
        "by_edit_rate": _by_rate(found, truth, planted),
        "linked": _linked(texts, truth),
        "mb_per_cpu_second": {
            "ours": round(megabytes / statistics.median(rates), 2),
            "peer": round(megabytes / statistics.median(peer_rates), 2) if peer_rates else None,
        },
        "missed": missed,
    }
    for name in ("ours", "peer", "f1", "by_edit_rate", "linked", "mb_per_cpu_second"):
        print(f"{name}: {line[name]}")
    print(json.dumps(line))
    return 1 if missed else 0


def _texts(root: Path) -> tuple[list[str], dict[Pair, float]]:
    """All texts, and the edit rate of each planted pair."""
    natural = [*zipped_texts(root, "movie_reviews"), *zipped_texts(root, "state_union"), *web_documents(root)]
    texts = [text[:20_000] for text in natural]
    chooser = random.Random("planted")
    planted: dict[Pair, float] = {}
    for number, text in enumerate(texts[::2]):
        rate = EDIT_RATES[number % len(EDIT_RATES)]
        planted[2 * number, len(texts)] = rate
        texts.append(" ".join(edited(text.split(), rate, chooser)))
    return texts, planted


def _truth(texts: Sequence[str]) -> dict[Pair, float]:
    """Every pair at or above the threshold with its exact similarity, by counting the shingles any two texts share."""
    shingles = [_shingles(text) for text in texts]
    holders: dict[str, list[int]] = defaultdict(list)
    for number, own in enumerate(shingles):
        for shingle in own:
            holders[shingle].append(number)
    shared = Counter(pair for numbers in holders.values() for pair in combinations(numbers, 2))
    similar = {pair: both / (len(shingles[pair[0]]) + len(shingles[pair[1]]) - both) for pair, both in shared.items()}
    return {pair: similarity for pair, similarity in similar.items() if similarity >= THRESHOLD}


def _shingles(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)}


def _ours(texts: Sequence[str]) -> tuple[list[Pair], list[float]]:
    _candidates(texts[:10])  # compiled, not timed
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        pairs = _candidates(texts)
        seconds.append(time.process_time() - began)
    return [(int(left), int(right)) for left, right in pairs], seconds


def _candidates(texts: Sequence[str]) -> np.ndarray:
    return candidate_pairs(_table(texts), np.arange(len(texts), dtype=np.uint64), BANDS)


def _table(texts: Sequence[str]) -> np.ndarray:
    batch = TextBatch(pa.array(texts, pa.large_string()))
    return signatures(batch.words, BANDS * BAND_ROWS, shingle_words=SHINGLE_WORDS)


def _peer(texts: Sequence[str]) -> tuple[list[Pair] | None, list[float]]:
    python = peer_python("dedup", PEER)
    if python is None:
        return None, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        question = {"texts": str(path), "buckets": BANDS, "hashes": BAND_ROWS, "shingle_words": SHINGLE_WORDS, "rounds": ROUNDS}
        answer = ask_peer(python, SCRIPT, question)
    return [(left, right) for left, right in answer["pairs"]], answer["seconds"]


def _verified(pairs: Iterable[Pair], count: int, truth: Mapping[Pair, float]) -> set[Pair]:
    """Pairs within the groups that candidates form which are similar enough."""
    labels = components(count, np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2))
    return {pair for pair in truth if labels[pair[0]] == labels[pair[1]]}


def _recall(pairs: set[Pair], truth: Mapping[Pair, float]) -> float:
    return round(len(pairs & set(truth)) / len(truth), 4)


def _f1(left: set[Pair], right: set[Pair]) -> float:
    return round(2 * len(left & right) / (len(left) + len(right)), 4)


def _by_rate(
    found: Mapping[str, set[Pair]], truth: Mapping[Pair, float], planted: Mapping[Pair, float]
) -> list[dict[str, Any]]:
    """Planted pairs at or above the threshold: how many each side finds, and what the bands promise."""
    rows = []
    for rate in EDIT_RATES:
        pairs = [pair for pair in truth if planted.get(pair) == rate]
        if not pairs:
            continue
        promised = float(np.mean(recall_at([truth[pair] for pair in pairs], bands=BANDS, rows=BAND_ROWS)))
        sides = {side: round(len(own & set(pairs)) / len(pairs), 4) for side, own in found.items()}
        rows.append({"edited": rate, "n": len(pairs), **sides, "theory": round(promised, 4)})
    return rows


def _linked(texts: Sequence[str], truth: Mapping[Pair, float]) -> dict[str, float]:
    """What corpus.refine links at this threshold, where the estimated similarity decides instead of the exact one."""
    pairs = linked_pairs(_table(texts), np.arange(len(texts), dtype=np.uint64), bands=BANDS, threshold=THRESHOLD)
    labels = components(len(texts), pairs)
    groups: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(labels.tolist()):
        groups[label].append(number)
    linked = {pair for numbers in groups.values() for pair in combinations(numbers, 2)}
    both = len(linked & set(truth))
    return {"precision": round(both / len(linked), 4), "recall": round(both / len(truth), 4)}


def _missed(figures: Mapping[str, Any]) -> list[str]:
    if figures["f1"] is None:
        return ["no peer"]
    return [] if figures["f1"] >= MIN_F1 else [f"f1 {figures['f1']} < {MIN_F1}"]


if __name__ == "__main__":
    sys.exit(main())
