"""bench/loader: tokens per CPU-second of the loader, and that its stream is the same after any interruption on any workers.

Text: the NLTK reviews and speeches, encoded with a vocabulary learnt from them. Speed: rows of 1,024 tokens, one process, one
thread, interleaved, medians; a batch is ids, targets, weights, documents and positions. Beside it: Megatron's GPTDataset over
the same ids, with positions that begin anew in every document (it tells no documents apart, ours does); and random crops of a
memory map (two arrays, no documents, no epochs: it does less, and says how fast memory is). Equality: at 50 random points of
one source and of a mixture, fresh processes, one per rank, open the shards and go on from there, fetching ahead; every field of
every row must be that of a straight read. Fill: of the real text beside the most that any packing of uncut rests could reach,
and of lengths drawn like those of web pages, which must reach 99 %. Exits 1 when a row differs, a peer is missing, or a bar is
missed.
"""

import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import xxhash

from bench.machine import machine
from bench.peers import ask_peer, peer_python, real_data
from bench.real_texts import zipped_texts
from whorl.core.seed import Seed
from whorl.tokens.batch import Batch
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.loader import WHOLE, Loader, Share
from whorl.tokens.megatron import bin_path, idx_path, write_index
from whorl.tokens.mixture import Mixture, Source
from whorl.tokens.packing import Plan
from whorl.tokens.sequences import Sequences, text_sequences
from whorl.tokens.shards import IDS_FILE, TOKENIZER_FOLDER, ShardWriter, TokenShards
from whorl.tokens.tokenizer import Tokenizer
from whorl.tokens.workers import ahead

PEER = ("torch==2.13.0", "megatron-core==0.16.1")
SCRIPT = Path(__file__).parent / "peer_scripts" / "loader.py"
VOCABULARY, SEED = 4096, Seed(7)
ROWS, WIDTH, STEPS, ROUNDS = 16, 1024, 150, 5
POINTS, STEPS_EACH, WORKERS = 50, 3, (1, 2, 3, 8)
WEIGHTS = {"reviews": 3.0, "speeches": 1.0}
MIN_FILL = 0.99


class Ask(NamedTuple):
    """What one rank, a process of its own, is to read."""

    folder: Path
    kind: str
    share: Share
    points: Sequence[int]


def main() -> int:
    """Measure, print what was found, print the JSON line."""
    root = real_data()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = _encoded(
            folder, {"reviews": zipped_texts(root, "movie_reviews"), "speeches": zipped_texts(root, "state_union")}
        )
        figures = _speed(folder) | _equality(folder) | _seeking(folder) | _mixing(folder) | _scale() | {"tokens": tokens}
    missed = [] if figures["equal"] else ["the stream differs after resume"]
    missed += [] if figures["peer"] else ["no peer"]
    missed += [
        f"{name}: fill {each['fill']} < {MIN_FILL}" for name, each in figures["packing"].items() if each["fill"] < MIN_FILL
    ]
    print(json.dumps({"bench": "loader", **figures, "machine": machine(), "missed": missed}))
    return 1 if missed else 0


def _encoded(folder: Path, texts: dict[str, list[str]]) -> dict[str, int]:
    """Shards of each source, and the same ids as Megatron reads them; tokens by source."""
    tokenizer = learn_tokenizer(texts["reviews"][:400] + texts["speeches"][:20], size=VOCABULARY)
    counts = {}
    for source, each in texts.items():
        tokenizer.save(folder / source / TOKENIZER_FOLDER)
        with ShardWriter(folder / source / "train", tokenizer) as writer:
            writer.add([f"{source}-{n}" for n in range(len(each))], each)
        shards = TokenShards.open(folder / source, "train")
        shutil.copyfile(folder / source / "train" / IDS_FILE, bin_path(folder / source / "megatron"))
        write_index(idx_path(folder / source / "megatron"), "uint16", shards.lengths)
        counts[source] = shards.num_tokens
        print(f"{source}: {len(each)} documents, {shards.num_tokens} tokens")
    return counts


def _loader(folder: Path, rows: int = ROWS, width: int = WIDTH) -> Loader:
    return Loader(text_sequences(TokenShards.open(folder / "reviews", "train")), rows=rows, width=width, seed=SEED)


def _mixture(folder: Path) -> Mixture:
    opened = {source: text_sequences(TokenShards.open(folder / source, "train")) for source in WEIGHTS}
    sources = [Source(source, sequences, WEIGHTS[source]) for source, sequences in opened.items()]
    return Mixture(sources, rows=ROWS, width=WIDTH, seed=SEED)


def _speed(folder: Path) -> dict[str, Any]:
    loader, mixture = _loader(folder), _mixture(folder)
    ids = TokenShards.open(folder / "reviews", "train").ids
    python = peer_python("megatron", PEER)
    tokenizer = Tokenizer.load(folder / "reviews" / TOKENIZER_FOLDER)
    question = {"prefix": str(folder / "reviews" / "megatron"), "cache": str(folder / "cache"), "rows": ROWS, "width": WIDTH}
    question |= {"steps": STEPS, "end": tokenizer.end, "pad": tokenizer.pad, "size": tokenizer.size}
    rates: dict[str, list[float]] = {"ours": [], "mixture": [], "crops": [], "megatron": []}
    draw = np.random.default_rng(1)
    for _ in range(ROUNDS):
        rates["ours"].append(_rate(loader.batch))
        rates["crops"].append(_rate(lambda _: _crops(ids, draw)))
        rates["mixture"].append(_rate(mixture.batch))
        if python is not None:
            said = ask_peer(python, SCRIPT, question)
            rates["megatron"].append(said["tokens"] / said["seconds"] / 1e6)
    median = {name: statistics.median(found) for name, found in rates.items() if found}
    for name, rate in median.items():
        print(f"{name:>9}: {rate:8.1f} M tokens per CPU-second, rows {ROWS} x {WIDTH}")
    peer = median.get("megatron")
    return {
        "ours": round(median["ours"], 1),
        "peer": peer and round(peer, 1),
        "ratio": peer and round(median["ours"] / peer, 2),
        "unit": "M tokens per CPU-second, one thread",
        "n": ROUNDS * STEPS,
        "spread": [round(min(rates["ours"]), 1), round(max(rates["ours"]), 1)],
        "peer_is": "megatron-core 0.16.1 GPTDataset, reset_position_ids, eod_mask_loss",
        "crops": round(median["crops"], 1),
        "ratio_to_crops": round(median["ours"] / median["crops"], 2),
        "mixture": round(median["mixture"], 1),
        "by_shape": {f"{rows}x{width}": _shape_rate(folder, rows, width) for rows, width in ((64, 1024), (8, 4096), (16, 128))},
        "fill": {"reviews": round(loader.fill, 4), "reviews_at_most": _most_fill(folder), "mixture": round(mixture.fill, 4)},
    }


def _most_fill(folder: Path) -> float:
    """What no packing can exceed: rows that whole pieces and rests need at least (bound L2 of Martello and Toth)."""
    lengths = TokenShards.open(folder / "reviews", "train").lengths
    rests = lengths % WIDTH
    least = 0
    for small in range(1, WIDTH // 2 + 1):
        large, middle = rests > WIDTH - small, (rests > WIDTH // 2) & (rests <= WIDTH - small)
        filling = int(rests[(rests >= small) & (rests <= WIDTH // 2)].sum()) - int((WIDTH - rests[middle]).sum())
        least = max(least, int(large.sum() + middle.sum()) + max(0, -(-filling // WIDTH)))
    return round(float(lengths.sum()) / ((least + int((lengths // WIDTH).sum())) * WIDTH), 4)


def _rate(batch_of: Callable[[int], object]) -> float:
    """Millions of tokens per CPU-second over STEPS steps."""
    batch_of(0)
    began = time.process_time()
    for step in range(1, STEPS + 1):
        batch_of(step)
    return STEPS * ROWS * WIDTH / (time.process_time() - began) / 1e6


def _shape_rate(folder: Path, rows: int, width: int) -> float:
    found = statistics.median(_rate(_loader(folder, rows, width).batch) for _ in range(3))
    return round(found * rows * width / (ROWS * WIDTH), 1)


def _crops(ids: np.ndarray, draw: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of the ids at random places, and the same one further on: the loader of many small training scripts."""
    starts = draw.integers(0, len(ids) - WIDTH - 1, size=ROWS).tolist()
    read = [torch.from_numpy(ids[start : start + WIDTH + 1].astype(np.int64)) for start in starts]
    return torch.stack([one[:-1] for one in read]), torch.stack([one[1:] for one in read])


def _equality(folder: Path) -> dict[str, Any]:
    """Digests of rows of a straight read against those of fresh processes that begin at random points."""
    draw, is_equal = random.Random(5), True
    last = 3 * _loader(folder).steps_per_epoch
    points = sorted(draw.sample(range(last), POINTS))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for kind in ("one source", "mixture"):
            opened = _opened(folder, kind)
            straight = [_rows(opened.batch(step)) for step in range(last + STEPS_EACH)]
            want = [row for point in points for step in range(point, point + STEPS_EACH) for row in straight[step]]
            for workers in WORKERS:
                asks = [Ask(folder, kind, Share(rank, workers), points) for rank in range(workers)]
                by_rank = list(pool.map(_resumed, asks))
                got = [row for steps in zip(*by_rank, strict=True) for rows in steps for row in rows]
                threaded = [row for rows in _stream(opened, WHOLE, points, threads=workers) for row in rows]
                is_equal &= got == want and threaded == want
                print(f"{kind}: {workers} workers, {POINTS} points: {'equal' if got == want == threaded else 'DIFFERENT'}")
    return {"equal": is_equal, "points": POINTS, "workers": list(WORKERS), "steps_after_each_point": STEPS_EACH}


def _opened(folder: Path, kind: str) -> Loader | Mixture:
    return _loader(folder) if kind == "one source" else _mixture(folder)


def _resumed(ask: Ask) -> list[list[str]]:
    """In a process of its own: one rank's rows after every point, each time from a loader opened for it."""
    return [rows for point in ask.points for rows in _stream(_opened(ask.folder, ask.kind), ask.share, [point], threads=2)]


def _stream(opened: Loader | Mixture, share: Share, points: Sequence[int], *, threads: int) -> list[list[str]]:
    """Per step after each point, the digests of its rows."""
    found = []
    for point in points:
        batches = ahead(lambda step: opened.batch(step, share), point, point + STEPS_EACH, workers=threads)
        found += [_rows(batch) for batch in batches]
    return found


def _rows(batch: Batch) -> list[str]:
    """A digest of every field of each row."""
    digests = []
    for row, names in enumerate(batch.doc_ids):
        digest = xxhash.xxh3_128()
        for field in (batch.ids, batch.targets, batch.weights, batch.docs, batch.positions):
            digest.update(f"{field.dtype}{field.shape[1]}".encode() + field[row].tobytes())
        digests.append(f"{digest.hexdigest()} {json.dumps(names)}")
    return digests


def _seeking(folder: Path) -> dict[str, Any]:
    """Microseconds of a batch read in order, and at random steps of the first million epochs."""
    loader = _loader(folder)
    far = random.Random(3).sample(range(10**6 * loader.steps_per_epoch), STEPS + 1)
    micros = {"in_order": [], "anywhere": []}  # type: dict[str, list[float]]
    for _ in range(ROUNDS):
        micros["in_order"].append(ROWS * WIDTH / _rate(loader.batch))
        micros["anywhere"].append(ROWS * WIDTH / _rate(lambda step: loader.batch(far[step])))
    found = {name: round(statistics.median(values), 1) for name, values in micros.items()}
    began = time.process_time()
    loader.steps_of("reviews-100", 1000 * loader.steps_per_epoch)
    found["when_was_a_document_read_in_1000_epochs"] = round((time.process_time() - began) * 1e6, 1)
    print(f"microseconds of CPU: {found}")
    return {"seek_us": found}


def _mixing(folder: Path) -> dict[str, Any]:
    """Largest distance of what was read so far from its shares, in rows, over all beginnings of some epochs of each source."""
    weights = np.array(list(WEIGHTS.values()))
    off = {"real text": _off(_mixture(folder), weights)}
    sources = [Source(name, _web_like(20_000, seed), weight) for seed, (name, weight) in enumerate(WEIGHTS.items())]
    off["lengths of web pages"] = _off(Mixture(sources, rows=ROWS, width=WIDTH, seed=SEED), weights)
    print(f"mixture 3:1 over 1500 steps, farthest from its shares, in rows: {off}")
    return {"mixture_off_by_rows": off}


def _off(mixture: Mixture, weights: np.ndarray) -> dict[str, float]:
    names, shares = list(WEIGHTS), weights / weights.sum()
    tokens, worst = np.zeros(len(names)), 0.0
    for step in range(1500):
        batch = mixture.batch(step)
        held = np.count_nonzero(batch.docs >= 0, axis=1).tolist()
        source_of = [names.index(row[0].partition(":")[0]) for row in batch.doc_ids]
        tokens += np.bincount(source_of, weights=held, minlength=len(names))
        worst = max(worst, float(np.abs(tokens - tokens.sum() * shares).max()) / WIDTH)
    return {"tokens": round(worst, 2), "of_rows": 1500 * ROWS}


def _web_like(num_docs: int, seed: int) -> Sequences:
    lengths = _web_lengths(num_docs, seed)
    ids = np.zeros(int(lengths.sum()), np.uint16)
    names = pa.array([str(n) for n in range(num_docs)], pa.large_string())
    return Sequences(ids, np.cumsum(lengths) - lengths, lengths, names=names, flat_weights=np.empty(0, np.float32))


def _web_lengths(num_docs: int, seed: int) -> np.ndarray:
    """Log-normal, median 403 tokens, mean 739."""
    return np.maximum(3, np.random.default_rng(seed).lognormal(6.0, 1.1, size=num_docs)).astype(np.int64)


def _scale() -> dict[str, Any]:
    """CPU-seconds to pack once, by number of documents with lengths like those of web pages."""
    found = {}
    for num_docs in (10**4, 10**6, 10**7):
        lengths = _web_lengths(num_docs, 0)
        began = time.process_time()
        plan = Plan(lengths, WIDTH)
        seconds = time.process_time() - began
        fill = float(lengths.sum()) / (plan.num_rows * WIDTH)
        found[f"{num_docs:.0e} documents"] = {"seconds": round(seconds, 3), "fill": round(fill, 6)}
        print(f"packing {num_docs} documents once: {seconds:.2f} CPU-seconds, fill {fill:.5f}")
    return {"packing": found}


if __name__ == "__main__":
    sys.exit(main())
