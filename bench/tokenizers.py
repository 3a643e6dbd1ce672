"""bench/tokenizers: learning a vocabulary of 16,384 ids, and encoding with it, beside the libraries that do the same.

MB of UTF-8 text per CPU-second of one process and one thread, medians of interleaved rounds. Texts: nltk movie_reviews and
state_union, shakespeare.txt, the XML of enwiki-shortened in pieces of 20,000 characters, the lines of gsm8k_train.jsonl.
Encoding: every peer has our vocabulary, opened anew each round, so that no cache is warm (a second pass over the same texts is
told apart); ids must be equal. Ours is `Tokenizer.encode_column` on columns of 1024 texts, checks included. The bar is what
tokenizers' `encode_batch_fast` does on the default split. Learning, once: peers read the same texts; bytes per token say how
good a vocabulary is. Exits 1 when ids differ or a peer is missing.
"""

import bz2
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from bench.machine import machine
from bench.peers import ask_peer, peer_python, real_data
from bench.real_texts import zipped_texts
from whorl.tokens.learn import Kind, learn_tokenizer
from whorl.tokens.splits import SPLITS, Split
from whorl.tokens.tokenizer import SPECIALS, VOCABULARY_FILE, Tokenizer
from whorl.tokens.vocabulary import as_bytes

PEERS: Final = ("tokenizers==0.23.3", "tiktoken==0.14.0", "gigatoken==0.10.0", "sentencepiece==0.2.3")
SCRIPT: Final = Path(__file__).parent / "peer_scripts" / "tokenizer_peers.py"
SIZE: Final = 16_384
ROUNDS: Final = 3
TEXTS_AT_ONCE: Final = 1024
PIECE: Final = 20_000  # characters
ENCODED: Final[tuple[Split, ...]] = ("qwen2", "gpt2")  # the default, and the one that every peer knows
_QWEN2 = SPLITS["llama3"].replace(r"\p{N}{1,3}", r"\p{N}")
# Splits as the peers spell them; ours are written for another regex engine.
TIKTOKEN: Final[Mapping[Split, str]] = {
    "qwen2": _QWEN2,
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
}
GIGATOKEN: Final[Mapping[Split, str]] = {"qwen2": _QWEN2, "gpt2": SPLITS["gpt2"]}
LEARNT: Final[tuple[Kind, ...]] = ("bpe", "wordpiece", "unigram")
Column = Callable[[pa.Array], Any]


class Encoded(NamedTuple):
    """One pass over all texts."""

    seconds: float
    digest: str  # of every id and every length


def main() -> int:
    """Measure, print a table, print the JSON line."""
    # Read by both libraries when their pools start, which is after this.
    os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    texts = _texts(real_data())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    python = peer_python("tokenizers", PEERS)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        learning = _learning(texts, megabytes, place, python)
        encoding: dict[Split, dict[str, Any]] = {split: _encoding(split, texts, place, python) for split in ENCODED}
    figures = _figures(texts, megabytes, learning, encoding)
    missed = _missed(figures)
    print(json.dumps({**figures, "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def _texts(root: Path) -> list[str]:
    corpus = root / "corpus"
    wiki = bz2.decompress((corpus / "enwiki-shortened.xml.bz2").read_bytes()).decode("utf-8", "replace")
    whole = [(corpus / "shakespeare.txt").read_text(encoding="utf-8"), wiki]
    pieces = [text[start : start + PIECE] for text in whole for start in range(0, len(text), PIECE)]
    lines = (root / "evals" / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()
    return [*zipped_texts(root, "movie_reviews"), *zipped_texts(root, "state_union"), *pieces, *lines]


def _learning(texts: Sequence[str], megabytes: float, place: Path, python: Path | None) -> dict[str, dict[str, Any]]:
    """By what is learnt: our rate and bytes per token, then those of every peer. Split: gpt2, the one all learners know."""
    found: dict[str, dict[str, Any]] = {}
    learn_tokenizer(["compiled, not timed"], size=600, kind="unigram")
    for kind in LEARNT:
        began = time.process_time()
        tokenizer = learn_tokenizer(texts, size=SIZE, split="gpt2", kind=kind)
        rate = megabytes / (time.process_time() - began)
        found[kind] = {"ours": round(rate, 2), "ours_bytes_per_token": _bytes_per_token(tokenizer, texts, megabytes)}
        if kind == "bpe":
            _keep(tokenizer, place / "gpt2.json")
    _keep(learn_tokenizer(texts, size=SIZE, split="qwen2"), place / "qwen2.json")
    if python is not None:
        question: dict[str, Any] = {"do": "learn", "texts": str(place / "texts.json"), "size": SIZE, "pattern": SPLITS["gpt2"]}
        question["num_special"] = len(SPECIALS)
        answer = ask_peer(python, SCRIPT, question)
        for learnt, peers in answer["learnt"].items():
            found[learnt] |= _peer_rates(peers, megabytes)
        found["bpe"]["gigatoken_merges_equal"] = answer["merges"] == _merges_digest(place / "gpt2.json")
    for learnt, rates in found.items():
        print(f"learn {learnt:>9}: " + ", ".join(f"{name} {value}" for name, value in rates.items()))
    return found


def _peer_rates(peers: Mapping[str, Sequence[float]], megabytes: float) -> dict[str, float]:
    rates = {name: round(megabytes / seconds, 2) for name, (seconds, _) in peers.items()}
    quality = {f"{name}_bytes_per_token": round(megabytes * 1e6 / tokens, 4) for name, (_, tokens) in peers.items() if tokens}
    return rates | quality


def _merges_digest(path: Path) -> str:
    merges = [[as_bytes(piece) for piece in merge] for merge in json.loads(path.read_text(encoding="utf-8"))["model"]["merges"]]
    said = json.dumps([[(left or b"").hex(), (right or b"").hex()] for left, right in merges])
    return hashlib.sha256(said.encode()).hexdigest()


def _keep(tokenizer: Tokenizer, path: Path) -> None:
    """The vocabulary for peers, and a folder of the same name for us."""
    path.write_text(tokenizer.files[VOCABULARY_FILE], encoding="utf-8")
    tokenizer.save(path.with_suffix(""))


def _bytes_per_token(tokenizer: Tokenizer, texts: Sequence[str], megabytes: float) -> float:
    return round(megabytes * 1e6 / sum(len(ids) for ids in tokenizer.encode_batch(texts)), 4)


def _encoding(split: Split, texts: Sequence[str], place: Path, python: Path | None) -> dict[str, Any]:
    """Seconds per round by encoder, and whether ids were equal to ours."""
    column = pa.array(texts, pa.large_string())
    columns = [column.slice(start, TEXTS_AT_ONCE) for start in range(0, len(column), TEXTS_AT_ONCE)]
    seconds: dict[str, list[float]] = {"ours": [], "ours_again": []}
    digests: dict[str, set[str]] = {}
    opening = []
    for _ in range(ROUNDS):
        tokenizer = Tokenizer.load(place / split)
        began = time.process_time()
        encoder = tokenizer.encoder
        opening.append(time.process_time() - began)
        for name in ("ours", "ours_again"):
            encoded = _encoded(tokenizer.encode_column, columns)
            seconds[name].append(encoded.seconds)
            digests.setdefault("ours", set()).add(encoded.digest)
        if python is not None:
            question = {"do": "encode", "texts": str(place / "texts.json"), "vocabulary": str(place / f"{split}.json")}
            question |= {"tiktoken": TIKTOKEN[split], "gigatoken": GIGATOKEN[split]}
            for name, (took, digest) in ask_peer(python, SCRIPT, question)["encoded"].items():
                seconds.setdefault(name, []).append(took)
                digests.setdefault(name, set()).add(digest)
    equal = {name: digests[name] == digests["ours"] for name in digests if name != "ours"}
    return {"encoder": encoder, "opening": statistics.median(opening), "seconds": seconds, "ids_equal": equal}


def _encoded(encode: Column, columns: Sequence[pa.Array]) -> Encoded:
    began = time.process_time()
    found = [encode(column) for column in columns]
    took = time.process_time() - began
    ids = np.concatenate([one.ids for one in found]).astype("<u4")
    lengths = np.concatenate([np.diff(one.offsets) for one in found]).astype("<u4")
    return Encoded(took, hashlib.sha256(ids.tobytes() + lengths.tobytes()).hexdigest())


def _figures(
    texts: Sequence[str], megabytes: float, learning: Mapping[str, Any], encoding: Mapping[Split, Mapping[str, Any]]
) -> dict[str, Any]:
    rates: dict[str, dict[str, float]] = {}
    for split, found in encoding.items():
        rates[split] = {name: round(megabytes / statistics.median(took), 2) for name, took in found["seconds"].items()}
        print(f"encode {split:>5}: " + ", ".join(f"{name} {rate:g}" for name, rate in rates[split].items()))
    first, seconds = rates[ENCODED[0]], encoding[ENCODED[0]]["seconds"]
    peer = first.get("tokenizers")
    spread = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds.get("tokenizers", []), strict=False)]
    return {
        "bench": "tokenizers",
        "ours": first["ours"],
        "peer": peer,
        "ratio": round(first["ours"] / peer, 2) if peer else None,
        "unit": "MB of text per CPU-second, encoding, caches cold",
        "n": len(texts),
        "spread": [round(min(spread), 2), round(max(spread), 2)] if spread else None,
        "megabytes": round(megabytes, 1),
        "documents": "nltk movie_reviews, state_union; shakespeare, enwiki-shortened XML; gsm8k_train lines",
        "vocabulary": SIZE,
        "encode": rates,
        "encoder": {split: found["encoder"] for split, found in encoding.items()},
        "opening_cpu_s": {split: round(found["opening"], 3) for split, found in encoding.items()},
        "ids_equal": {split: found["ids_equal"] for split, found in encoding.items()},
        "learn": dict(learning),
    }


def _missed(figures: Mapping[str, Any]) -> list[str]:
    missed = [] if figures["peer"] else ["peers are missing"]
    for split, equal in figures["ids_equal"].items():
        missed += [f"{split}: {name} gives other ids" for name, is_equal in equal.items() if not is_equal]
    missed += [f"{split}: encoded by {name}" for split, name in figures["encoder"].items() if name != "gigatoken"]
    return missed


if __name__ == "__main__":
    sys.exit(main())
