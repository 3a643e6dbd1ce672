"""bench/web: web archives, a wiki dump and film reviews through recipes/web.yaml, as `whorl init --template web` writes it, to
an examined base model: seconds per stage, documents in and out, bits per byte.

The texts are those of WHORL_REAL_DATA and are named in the output; other texts give other figures. The peer is the interpolated
byte 5-gram fitted on the same training text and examined on the same documents. Exits 1 when the base model is not below it, a
count does not add up, or the river takes longer than the README says.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from bench.machine import machine
from bench.peers import real_data
from whorl.core.events import past_events
from whorl.flow.workspace import Workspace

MAX_SECONDS = 300.0
TEXTS = "7 WARC and WET files, one English Wikipedia dump, 2,000 film reviews"


def main() -> int:
    """Run, print a table, print the JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "crawl"
        _whorl(Path(folder), "init", str(project), "--template", "web", "--json")
        _fill(project / "data", real_data() / "corpus")
        began = time.perf_counter()
        _whorl(project, "run", "--offline", "--json")
        seconds = time.perf_counter() - began
        finished = past_events(Workspace(project).events_path, "stage_finished")
        stages = {str(event["stage"]): round(float(event["seconds"]), 1) for event in finished}
        stats = json.loads(_whorl(project, "data", "stats", "clean", "--json"))
        report = next(json.loads(path.read_text()) for path in project.glob(".whorl/store/report/*/report.json"))
    figures = _figures(stats, report, stages=stages, seconds=seconds)
    for line in _table(figures):
        print(line)
    missed = _missed(figures)
    print(json.dumps({**figures, "missed": missed}))
    return 1 if missed else 0


def _whorl(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "whorl", *words]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout


def _fill(data: Path, texts: Path) -> None:
    shutil.copytree(texts / "warc", data / "warc")
    shutil.copy(texts / "enwiki-shortened.xml.bz2", data)
    with zipfile.ZipFile(texts / "nltk" / "movie_reviews.zip") as archive:
        archive.extractall(data)


def _figures(stats: dict[str, Any], report: dict[str, Any], *, stages: dict[str, float], seconds: float) -> dict[str, Any]:
    suite = next(suite for suite in report["suites"] if suite["use"] == "bits_per_byte")
    bits = {figure["of"]: figure for figure in suite["figures"]}
    return {
        "bench": "web",
        "ours": bits["base"]["value"],
        "peer": bits["ngram"]["value"],
        "ratio": round(bits["base"]["value"] / bits["ngram"]["value"], 4),
        "unit": "bits per byte",
        "n": bits["base"]["n"],
        "spread": bits["base"]["interval"],
        "machine": machine(),
        "texts": TEXTS,
        "seconds": round(seconds, 1),
        "seconds_by_stage": stages,
        "documents_in": stats["documents_in"],
        "documents": stats["documents"],
        "dropped": stats["dropped"],
        "bits_per_byte": {name: figure["value"] for name, figure in bits.items()},
    }


def _table(figures: dict[str, Any]) -> list[str]:
    lines = [f"{figures['texts']}: {figures['documents']:,} of {figures['documents_in']:,} documents kept"]
    lines += [f"{count:>12,}  {reason}" for reason, count in sorted(figures["dropped"].items(), key=lambda row: -row[1])]
    lines += [f"{name:>12}  {value:6.3f} bits per byte" for name, value in figures["bits_per_byte"].items()]
    lines += [f"{stage:>12}  {took:6.1f} s" for stage, took in figures["seconds_by_stage"].items()]
    return [*lines, f"{'in all':>12}  {figures['seconds']:6.1f} s"]


def _missed(figures: dict[str, Any]) -> list[str]:
    missed = []
    if figures["documents_in"] != figures["documents"] + sum(figures["dropped"].values()):
        missed.append("documents in are not documents kept and dropped")
    if figures["ours"] >= figures["peer"]:
        missed.append(f"base {figures['ours']} is not below the 5-gram {figures['peer']}")
    if figures["seconds"] > MAX_SECONDS:
        missed.append(f"{figures['seconds']} s > {MAX_SECONDS} s")
    return missed


if __name__ == "__main__":
    sys.exit(main())
