"""bench/growth: what ten times the text does to memory and to CPU time per megabyte, from files to token shards.

The same recipe (collect, refine with every quality filter and both deduplications, learn, encode) runs on some text and on ten
times as much; each stage is a process of its own with one worker, whose peak resident memory and CPU time the run records.
Documents are made of real sentences drawn anew, so that ten times the text is ten times the documents and not copies. The peer
is the same code at a tenth of the size.
"""

import json
import random
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import whorl
from bench.machine import machine
from bench.peers import real_data
from whorl.core.events import past_events
from whorl.flow.run import RunOptions
from whorl.flow.workspace import Workspace

SMALL_MB = 40  # more than one shard, so that what every size needs is there from the start
FACTOR = 10
AIM = 1.3
_FILE_MB = 10
_RECIPE = """\
name: growth
stages:
  pages: {use: corpus.collect, sources: [{use: jsonl, path: "data/*.jsonl"}]}
  clean:
    use: corpus.refine
    from: pages
    edits: [{use: unicode}]
    filters: [{use: gopher_quality}, {use: gopher_repetition}, {use: c4_quality}, {use: fineweb_quality}]
    dedup: [{use: exact}, {use: minhash}]
  vocab: {use: tokens.learn, from: clean, size: 4096}
  ids: {use: tokens.encode, from: clean, tokenizer: vocab}
"""


def main() -> int:
    """Run both sizes, print a table, print the JSON line."""
    lines = _lines(real_data())
    small, large = (_measured(lines, size) for size in (SMALL_MB, SMALL_MB * FACTOR))
    larger = f"at {FACTOR}x"
    print(f"{'stage':8} {'MiB at 1x':>10} {larger:>8} {'ratio':>6}   {'CPU s/MB at 1x':>14} {larger:>8}")
    for stage, (before, after) in {name: (small[name], large[name]) for name in small}.items():
        memory = after["memory_bytes"] / before["memory_bytes"]
        rates = before["cpu_seconds"] / SMALL_MB, after["cpu_seconds"] / (SMALL_MB * FACTOR)
        sizes = before["memory_bytes"] / 2**20, after["memory_bytes"] / 2**20
        print(f"{stage:8} {sizes[0]:10.0f} {sizes[1]:8.0f} {memory:6.2f}   {rates[0]:14.4f} {rates[1]:8.4f}")
    peaks = [max(stage["memory_bytes"] for stage in run.values()) for run in (small, large)]
    cpu = [sum(stage["cpu_seconds"] for stage in run.values()) for run in (small, large)]
    ratio = peaks[1] / peaks[0]
    print(
        json.dumps(
            {
                "bench": "growth",
                "ours": round(peaks[1] / 2**20, 1),
                "peer": round(peaks[0] / 2**20, 1),
                "ratio": round(ratio, 3),
                "unit": f"MiB of peak resident memory at {SMALL_MB * FACTOR} MB of text, against {SMALL_MB} MB",
                "n": 1,
                "spread": "not measured",
                "machine": machine(),
                "aim": AIM,
                "cpu_seconds_per_mb": [round(cpu[0] / SMALL_MB, 4), round(cpu[1] / SMALL_MB / FACTOR, 4)],
                "ratio_by_stage": {name: round(large[name]["memory_bytes"] / small[name]["memory_bytes"], 3) for name in small},
            }
        )
    )
    return 0


def _lines(folder: Path) -> list[str]:
    """Sentences and lines of real prose."""
    texts = [(folder / "corpus" / "shakespeare.txt").read_text(encoding="utf-8")]
    for name in ("movie_reviews", "state_union"):
        with zipfile.ZipFile(folder / "corpus" / "nltk" / f"{name}.zip") as archive:
            texts += [archive.read(one).decode("latin-1") for one in archive.namelist() if one.endswith(".txt")]
    pieces = (piece.strip() for text in texts for piece in re.split(r"(?<=[.!?])\s+|\n+", text))
    return [piece for piece in pieces if len(piece) > 30]  # characters; shorter ones are stage directions


def _documents(lines: list[str], size_mb: int) -> Iterator[str]:
    chooser = random.Random(size_mb)
    written = 0
    while written < size_mb * 1_000_000:
        paragraphs = (" ".join(chooser.choices(lines, k=chooser.randint(3, 8))) for _ in range(chooser.randint(2, 9)))
        text = "\n\n".join(paragraphs)
        written += len(text.encode())
        yield text


def _measured(lines: list[str], size_mb: int) -> dict[str, dict[str, Any]]:
    """The last event of every stage, by name."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "data").mkdir()
        (root / "recipe.yaml").write_text(_RECIPE)
        number, handle = 0, (root / "data" / "0.jsonl").open("w")
        for text in _documents(lines, size_mb):
            handle.write(json.dumps({"text": text}) + "\n")
            if handle.tell() > _FILE_MB * 1_000_000:
                handle.close()
                number += 1
                handle = (root / "data" / f"{number}.jsonl").open("w")
        handle.close()
        whorl.run(root, options=RunOptions(workers=1))
        events = past_events(Workspace(root).events_path, "stage_finished")
        return {str(event["stage"]): dict(event) for event in events}


if __name__ == "__main__":
    sys.exit(main())
