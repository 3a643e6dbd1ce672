"""bench/text_chain: Gopher quality and repetition, C4, FineWeb, MinHash signatures and encoding, beside datatrove's same steps.

The same real documents (bench/mixed_documents) and the same tokenizer.json. Ours is what a user runs: the stages corpus.refine
(reading and writing Parquet, every figure and verdict of every document in a ledger, linking of copies, parts and report
included) and tokens.encode of every document. The peer's steps take the same documents as Python strings; nothing is read or
written but signatures. CPU-seconds of one process and one thread each, in turns, medians. What a process does once is in the
rates of neither side: making the steps and loading spaCy there, loading or compiling kernels here (printed as `warm_up_s`).
Decisions are compared filter by filter on every document, and each disagreement is explained by giving the peer our words, or
our count of sentences, and asking it again. Exits 1 when a bar is missed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.machine import machine
from bench.mixed_documents import Document, mixed_documents
from bench.peers import ask_peer, peer_python, real_data
from bench.workshop import Workshop
from whorl.core.records import DOCUMENTS
from whorl.core.shards import shard_path, write_table
from whorl.text.batch import TextBatch
from whorl.text.minhash import signatures
from whorl.text.reference import reference_tokens
from whorl.text.reference_lines import reference_sentences

PEER = ("datatrove==0.10.1", "spacy==3.8.18", "tokenizers==0.23.3", "xxhash==3.8.2", "orjson", "regex", "numpy<3")
SCRIPT = Path(__file__).parent / "peer_scripts" / "text_chain.py"
FILTERS = ("gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality")
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
VOCABULARY = 16_384
ROUNDS = 3
MIN_RATIO, MIN_AGREEMENT, MIN_KAPPA, MIN_SIDE, MAX_COMPILE_S = 30.0, 0.95, 0.85, 0.2, 10.0
# Compiles what the chain uses, on two words; run with an empty cache and with a full one.
COMPILE = """
import time
import pyarrow as pa
from whorl.text.batch import TextBatch
from whorl.text.characters import character_tables
from whorl.text.minhash import signatures
character_tables()
began = time.process_time()
batch = TextBatch(pa.array(["two words"], pa.large_string()))
dict(batch.statistics), batch.distinct_hits(["two"]), signatures(batch.words)
print(time.process_time() - began)
"""
Booleans = npt.NDArray[np.bool_]


def main() -> int:
    """Measure, print tables, print the JSON line."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    documents = mixed_documents(real_data())
    megabytes = sum(len(document.text.encode()) for document in documents) / 1e6
    print(f"{len(documents)} documents, {megabytes:.1f} MB: {_kinds(documents)}")
    python = peer_python("text", PEER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_inputs(documents, folder)
        compile_s = _compile_seconds()
        warm_up_s = _warm_up(documents, folder)
        rounds = [_round(folder, number, python) for number in range(ROUNDS)]
        figures = _speed(rounds, megabytes) | _kernel_rates(documents, megabytes)
        figures |= {"cold_compile_s": compile_s, "warm_up_s": warm_up_s}
        figures |= _agreement(documents, folder, rounds[0], python)
    missed = _missed(figures)
    print(json.dumps({"bench": "text_chain", **figures, "n": len(documents), "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def _kinds(documents: Sequence[Document]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(document.kind for document in documents).items())


def _write_inputs(documents: Sequence[Document], folder: Path) -> None:
    """The documents as a finished folder of ours and as the peer's JSON; a vocabulary learnt from them."""
    (folder / "texts.json").write_text(json.dumps([document.text for document in documents]), encoding="utf-8")
    _write_pages(documents, folder / "pages")
    workshop = Workshop(folder / "vocabulary")
    workshop.adopt("pages", folder / "pages")
    workshop.run("vocab", use="tokens.learn", **{"from": "pages", "size": VOCABULARY})


def _write_pages(documents: Sequence[Document], folder: Path) -> None:
    texts, kinds = [document.text for document in documents], [document.kind for document in documents]
    columns: dict[str, Any] = {name: [None] * len(texts) for name in DOCUMENTS.names}
    columns |= {"id": [f"d{number:05d}" for number in range(len(texts))], "source": kinds, "text": texts}
    table = pa.table(columns | {"part": ["train"] * len(texts)}, schema=DOCUMENTS)
    write_table(table, shard_path(folder, "documents", 0))


def _warm_up(documents: Sequence[Document], folder: Path) -> float:
    """CPU-seconds of both stages on some of the documents: what a process does once, and little else."""
    _write_pages(documents[:: max(1, len(documents) // 100)], folder / "few")
    began = time.process_time()
    _ours(folder / "warm", folder, "few")
    return round(time.process_time() - began, 2)


def _compile_seconds() -> float:
    """CPU-seconds to compile every kernel of the chain with nothing cached, less those with all of it cached."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-c", COMPILE]
        said = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    cold, warm = (float(seconds) for seconds in said)
    print(f"kernels compile in {cold - warm:.1f} s, once per machine")
    return round(cold - warm, 2)


def _round(folder: Path, number: int, python: Path | None) -> dict[str, Any]:
    """CPU-seconds of both sides, by step, one after the other."""
    root = folder / f"round{number}"
    ours = _ours(root, folder, "pages")
    question = {"documents": str(folder / "texts.json"), "tokenizer": str(folder / "vocabulary" / "vocab" / "tokenizer.json")}
    peer = None if python is None else ask_peer(python, SCRIPT, question)
    return {"ours": ours, "peer": peer, "ledger": root / "refine" / "ledger-00000.parquet"}


def _ours(root: Path, folder: Path, pages: str) -> dict[str, Any]:
    """CPU-seconds of our stages on the documents of a folder, and which library encoded."""
    filters = [{"use": name} for name in FILTERS]
    workshop = Workshop(root)
    workshop.adopt("pages", folder / pages)
    workshop.adopt("vocab", folder / "vocabulary" / "vocab", "tokenizer")
    clean = {"use": "corpus.refine", "from": "pages", "filters": filters, "dedup": [{"use": "minhash"}], "group_by": "id"}
    taken: dict[str, Any] = {}
    for step, config in (
        ("refine", clean),
        ("encode", {"use": "tokens.encode", "from": "pages", "tokenizer": "vocab"}),
        ("encode what is kept", {"use": "tokens.encode", "from": "refine", "tokenizer": "vocab"}),
    ):
        began = time.process_time()
        counts = workshop.run(step, **config)
        taken[step] = time.process_time() - began
    return taken | {"encoder": counts.get("encoder")}


def _speed(rounds: Sequence[Mapping[str, Any]], megabytes: float) -> dict[str, Any]:
    """Rates in MB per CPU-second, and how many times ours is the peer's; every step on every document, and as a pipeline."""
    ours = [one["ours"]["refine"] + one["ours"]["encode"] for one in rounds]
    ours_pipeline = [one["ours"]["refine"] + one["ours"]["encode what is kept"] for one in rounds]
    steps = {
        step: round(statistics.median(one["ours"][step] for one in rounds) / megabytes, 5) for step in ("refine", "encode")
    }
    rate = megabytes / statistics.median(ours)
    print(f"ours: {rate:.2f} MB per CPU-second; CPU-seconds per MB: {steps}")
    figures = {
        "ours": round(rate, 3),
        "peer": None,
        "ratio": None,
        "unit": "MB of text per CPU-second, every step on every document",
        "spread": [round(megabytes / max(ours), 3), round(megabytes / min(ours), 3)],
        "megabytes": round(megabytes, 2),
        "ours_s_per_mb": steps,
        "encoder": rounds[0]["ours"]["encoder"],
    }
    if any(one["peer"] is None for one in rounds):
        return figures
    peer = [sum(one["peer"]["seconds"].values()) for one in rounds]
    peer_steps = {
        step: round(statistics.median(one["peer"]["seconds"][step] for one in rounds) / megabytes, 4)
        for step in rounds[0]["peer"]["seconds"]
    }
    pipeline = statistics.median(one["peer"]["pipeline_seconds"] for one in rounds)
    ratio = statistics.median(theirs / own for theirs, own in zip(peer, ours, strict=True))
    print(f"datatrove: {megabytes / statistics.median(peer):.4f} MB per CPU-second; CPU-seconds per MB: {peer_steps}")
    as_pipeline = pipeline / statistics.median(ours_pipeline)
    print(f"ratio {ratio:.1f}; where each step sees only what the one before kept: {as_pipeline:.1f}")
    return figures | {
        "peer": round(megabytes / statistics.median(peer), 4),
        "ratio": round(ratio, 2),
        "ratio_by_round": [round(theirs / own, 2) for theirs, own in zip(peer, ours, strict=True)],
        "ratio_as_pipeline": round(as_pipeline, 2),
        "peer_s_per_mb": peer_steps,
    }


def _kernel_rates(documents: Sequence[Document], megabytes: float) -> dict[str, Any]:
    """MB per CPU-second of the kernels alone, in batches as the stage cuts them: words and every statistic, and signatures."""
    column = pa.array([document.text for document in documents], pa.large_string())
    taken: dict[str, list[float]] = {"statistics": [], "signatures": []}
    for _ in range(ROUNDS + 1):
        batches = [TextBatch(column.slice(begin, 400)) for begin in range(0, len(column), 400)]
        began = time.process_time()
        for batch in batches:
            dict(batch.statistics)
            batch.distinct_hits(STOP_WORDS)
        taken["statistics"].append(time.process_time() - began)
        began = time.process_time()
        for batch in batches:
            signatures(batch.words)
        taken["signatures"].append(time.process_time() - began)
    rates = {name: round(megabytes / statistics.median(times[1:]), 1) for name, times in taken.items()}
    print(f"kernels alone, MB per CPU-second: {rates}")
    return {"kernels_mb_per_s": rates}


def _agreement(documents: Sequence[Document], folder: Path, first: Mapping[str, Any], python: Path | None) -> dict[str, Any]:
    """Agreement, kappa and shares kept by filter, and what disagreements come from."""
    if first["peer"] is None or python is None:
        return {}
    broken = pq.read_table(first["ledger"], columns=["broken"])["broken"].to_pylist()
    rows = {}
    for name in FILTERS:
        peer_reasons = first["peer"]["reasons"][name]
        own_reasons = [next((one for one in row if one.startswith(f"{name}.")), "") for row in broken]
        ours, theirs = (np.array([reason == "" for reason in reasons]) for reasons in (own_reasons, peer_reasons))
        different = np.flatnonzero(ours != theirs).tolist()
        cases = [_case(documents[row].text, name, row, keeps=bool(ours[row])) for row in different]
        question = {"documents": str(folder / "texts.json"), "explain": str(folder / "cases.json")}
        (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
        classes = ask_peer(python, SCRIPT, question)["classes"]
        pairs = [f"{peer_reasons[row] or 'keep'} | {own_reasons[row].partition('.')[2] or 'keep'}" for row in different]
        rows[name] = {
            "agreement": round(float((ours == theirs).mean()), 4),
            "kappa": round(_kappa(ours, theirs), 4),
            "kept": [round(float(ours.mean()), 3), round(float(theirs.mean()), 3)],
            "classes": dict(Counter(classes).most_common()),
            "peer_reason | ours": dict(Counter(pairs).most_common(6)),
            "by_kind": dict(Counter(documents[row].kind for row in different).most_common(4)),
        }
        print(f"{name}: {rows[name]}")
    return {key: {name: row[key] for name, row in rows.items()} for key in ("agreement", "kappa", "kept")} | {
        "disagreements": {
            name: {key: row[key] for key in row if key not in ("agreement", "kappa", "kept")} for name, row in rows.items()
        }
    }


def _case(text: str, name: str, row: int, *, keeps: bool) -> dict[str, Any]:
    """What the peer needs to judge a document as if it had split it as we do."""
    words = [text[token.start : token.end] for token in reference_tokens(text)]
    lines = {line.strip() for line in text.splitlines()}
    sentences = {line: reference_sentences(line) for line in lines} if name == "c4_quality" else {}
    return {"row": row, "filter": name, "keeps": keeps, "words": words, "sentences": sentences}


def _kappa(left: Booleans, right: Booleans) -> float:
    """Cohen's kappa of two yes-or-no verdicts: agreement beyond what their base rates alone would give."""
    by_chance = left.mean() * right.mean() + (1 - left.mean()) * (1 - right.mean())
    return float(((left == right).mean() - by_chance) / (1 - by_chance))


def _missed(figures: Mapping[str, Any]) -> list[str]:
    if figures["ratio"] is None:
        return ["no peer"]
    missed = [f"ratio {figures['ratio']} < {MIN_RATIO}"] if figures["ratio"] < MIN_RATIO else []
    for name in FILTERS:
        agreement, kappa, kept = (figures[key][name] for key in ("agreement", "kappa", "kept"))
        missed += [f"{name}: agreement {agreement} < {MIN_AGREEMENT}"] if agreement < MIN_AGREEMENT else []
        missed += [f"{name}: kappa {kappa} < {MIN_KAPPA}"] if kappa < MIN_KAPPA else []
        missed += [f"{name}: a verdict holds less than {MIN_SIDE}"] if not MIN_SIDE <= kept[1] <= 1 - MIN_SIDE else []
    return missed + ([f"{figures['cold_compile_s']} s to compile"] if figures["cold_compile_s"] > MAX_COMPILE_S else [])


if __name__ == "__main__":
    sys.exit(main())
