"""bench/quality: what the trainable classifier tells apart on held-out documents, and how fast, beside scikit-learn's.

Neither task is a gold standard of quality; there is none. `reviews`: film reviews by the sentiment people gave them, numbers
0 to 699 to learn from, 700 to 999 held out: a check of the learning, not of quality. `pages`: the main content of web pages
against the rest of the same pages (menus, notices, lists of links), as resiliparse divides them, whole hosts held out: the same
sites and topics on both sides, labels by a machine. The peer has the same n-grams, places, penalty and class weights, but raw
counts and no punctuation. Speed is the scoring of the held-out reviews from text, splitting into words included. Misses: an
area under the curve more than 0.01 below the peer's, or under 20 MB per CPU-second.
"""

import json
import re
import statistics
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from bench.machine import machine
from bench.peers import ask_peer, peer_python, real_data
from whorl.corpus.appraisal import appraise
from whorl.measure.binary import area_under_curve
from whorl.text.batch import TextBatch
from whorl.text.hashed import Features, hashed_rows
from whorl.text.linear import LinearClassifier
from whorl.text.logistic import fit_logistic

PEER = ("scikit-learn==1.7.2", "numpy==2.3.5", "scipy==1.16.3")
SCRIPT = Path(__file__).parent / "peer_scripts" / "quality.py"
FEATURES = Features()
L2 = 1e-5
ROUNDS = 5
MIN_CHARS = 200  # of a main content, or of a rest
MIN_RATE = 20.0  # MB per CPU-second
MAX_AUC_LOSS = 0.01


class Half(NamedTuple):
    """Texts and whether each is a positive."""

    texts: list[str]
    labels: list[bool]


class Task(NamedTuple):
    """What is learnt from, and what is asked."""

    train: Half
    test: Half


def main() -> int:
    """Measure, print a table and the JSON line."""
    root = real_data()
    python = peer_python("linear", PEER)
    tasks = {"reviews": reviews(root), "pages": pages(root)}
    learnt = {name: learn(task.train) for name, task in tasks.items()}
    results = {name: judged(task, learnt[name], python) for name, task in tasks.items()}
    rates = speeds(tasks["reviews"], learnt["reviews"], python)
    medians = {name: statistics.median(row) for name, row in rates.items()}
    ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates.get("peer", []), strict=False)]
    missed = [f"{medians['ours']:.1f} MB per CPU-second < {MIN_RATE}"] if medians["ours"] < MIN_RATE else []
    for name, row in results.items():
        print(f"{name:>8}  " + "  ".join(f"{key} {value}" for key, value in row.items()))
        area, theirs = row["auc"], row["peer_auc"]
        if area is not None and theirs is not None and area < theirs - MAX_AUC_LOSS:
            missed.append(f"{name}: area {area} < {theirs} of the peer")
    figures = {
        "bench": "quality",
        "ours": round(medians["ours"], 2),
        "peer": round(medians["peer"], 2) if "peer" in medians else None,
        "ratio": round(statistics.median(ratios), 2) if ratios else None,
        "unit": "MB of text scored per CPU-second",
        "n": {name: f"{len(task.train.texts)} learnt from, {len(task.test.texts)} held out" for name, task in tasks.items()},
        "spread": [round(min(ratios), 2), round(max(ratios), 2)] if ratios else None,
        "machine": machine(),
        "tasks": results,
        "missed": missed,
    }
    print(json.dumps(figures))
    return 1 if missed or python is None else 0


def reviews(root: Path) -> Task:
    """Sentiment of film reviews: positive or not."""
    task = Task(Half([], []), Half([], []))
    with zipfile.ZipFile(root / "corpus" / "nltk" / "movie_reviews.zip") as archive:
        for name in sorted(archive.namelist()):
            found = re.search(r"/(pos|neg)/cv(\d{3})_\d+\.txt$", name)
            if found:
                half = task.test if int(found[2]) >= 700 else task.train
                half.texts.append(archive.read(name).decode("utf-8", "replace"))
                half.labels.append(found[1] == "pos")
    return task


def pages(root: Path) -> Task:
    """Main content of a page or the rest of it."""
    task = Task(Half([], []), Half([], []))
    gold = json.loads((root / "corpus" / "extraction" / "gold.json").read_text(encoding="utf-8"))
    with tarfile.open(root / "corpus" / "extraction" / "pages.tar.gz") as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        for url, entry in sorted(gold.items()):
            handle = archive.extractfile(members[Path(entry["file"]).name])
            assert handle is not None, f"{entry['file']} is a file"
            half = task.test if xxhash.xxh3_64_intdigest(urlsplit(url).netloc.encode()) % 2 else task.train
            divided = [(text, label) for text, label in _divided(handle.read()) if len(text) >= MIN_CHARS]
            half.texts.extend(text for text, _ in divided)
            half.labels.extend(label for _, label in divided)
    return task


def _divided(data: bytes) -> list[tuple[str, bool]]:
    """Main content (a positive), and every line of the page that is not in it (a negative)."""
    html = bytes_to_str(data, detect_encoding(data) or "utf-8")
    main = extract_plain_text(html, main_content=True, preserve_formatting=True)
    kept = {line.strip() for line in main.splitlines()}
    whole = extract_plain_text(html, main_content=False, preserve_formatting=True)
    rest = "\n".join(line for line in whole.splitlines() if line.strip() and line.strip() not in kept)
    return [(main, True), (rest, False)]


def batch_of(texts: list[str]) -> TextBatch:
    """Texts as the kernels take them."""
    return TextBatch(pa.array(texts, pa.large_string()))


def costs_of(labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Both kinds count the same."""
    return np.asarray(np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum()))


def learn(half: Half) -> LinearClassifier:
    """A classifier as corpus.learn_quality makes it, not calibrated."""
    labels = np.array(half.labels)
    rows = hashed_rows(batch_of(half.texts), FEATURES)
    return LinearClassifier.of(FEATURES, fit_logistic(rows, labels, costs_of(labels), num_places=1 << FEATURES.bits, l2=L2))


def judged(task: Task, learnt: LinearClassifier, python: Path | None) -> dict[str, float | None]:
    """Figures on the held-out half, ours and the peer's."""
    labels = np.array(task.test.labels)
    margins = learnt.margins(batch_of(task.test.texts))
    appraisal = appraise(margins, labels, costs_of(labels), keys=np.arange(len(labels), dtype=np.uint64))
    strict = next(point for point in appraisal.points if point.threshold == 0.9)
    theirs = np.array(_asked(task, python)["margins"]) if python else None
    return {
        **{name: figure for name, figure in appraisal.headline.items() if name != "recall_interval"},
        "precision_at_0.9": None if strict.precision is None else round(strict.precision, 4),
        "recall_at_0.9": round(strict.recall, 4),
        "accuracy": round(float(((margins > 0) == labels).mean()), 4),
        "peer_auc": None if theirs is None else round(area_under_curve(theirs, labels), 6),
        "peer_accuracy": None if theirs is None else round(float(((theirs > 0) == labels).mean()), 4),
    }


def _asked(task: Task, python: Path) -> dict[str, Any]:
    question = {"train": task.train.texts, "labels": task.train.labels, "test": task.test.texts, "l2": L2}
    return ask_peer(python, SCRIPT, question)


def speeds(task: Task, learnt: LinearClassifier, python: Path | None) -> dict[str, list[float]]:
    """MB of UTF-8 per CPU-second of each round, ours and the peer's in turn."""
    megabytes = sum(len(text.encode()) for text in task.test.texts) / 1e6
    texts = pa.array(task.test.texts, pa.large_string())
    rates: dict[str, list[float]] = {"ours": [], **({"peer": []} if python else {})}
    for _ in range(ROUNDS):
        began = time.process_time()
        learnt.scores(TextBatch(texts))
        rates["ours"].append(megabytes / (time.process_time() - began))
        if python is not None:
            rates["peer"].append(megabytes / peer_cpu_s(task, python))
    return rates


def peer_cpu_s(task: Task, python: Path) -> float:
    """The peer's CPU-seconds for scoring, learnt from a tenth of the texts: how it was learnt does not change its speed."""
    short = Task(Half(task.train.texts[::10], task.train.labels[::10]), task.test)
    return float(_asked(short, python)["cpu_s"])


if __name__ == "__main__":
    sys.exit(main())
