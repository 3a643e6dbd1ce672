"""bench/demo: the demo from nothing: seconds in all and per stage, bits per byte of every model, exact match per skill.

The peer is the interpolated byte 5-gram fitted on the same training text and examined on the same documents; the ratio is bits
per byte of the base model over its. Runs the demo a second time to show what is cached. Exits 1 when a bar is missed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.machine import machine

# What the README promises of the demo.
MAX_SECONDS = 300.0
SKILL_BARS = {"reverse": 0.9, "uppercase": 0.9, "dashes": 0.9, "add": 0.5}


def main() -> int:
    """Run, print a table, print the JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "demo"
        seconds, outcome = _demo(project)
        cached_seconds, _ = _demo(project)
    figures = _figures(outcome, seconds=seconds, cached_seconds=cached_seconds)
    for line in _table(figures):
        print(line)
    missed = _missed(figures)
    print(json.dumps({**figures, "missed": missed}))
    return 1 if missed else 0


def _demo(project: Path) -> tuple[float, dict[str, Any]]:
    """Wall seconds of one `whorl demo`, interpreter start and all, and its last line."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "whorl", "demo", "--into", str(project), "--offline", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - began, json.loads(done.stdout.splitlines()[-1])


def _figures(outcome: dict[str, Any], *, seconds: float, cached_seconds: float) -> dict[str, Any]:
    report = outcome["report"]
    suite = next(suite for suite in report["suites"] if suite["use"] == "bits_per_byte")
    figures = {figure["of"]: figure for figure in suite["figures"]}
    ours, peer = figures["base"]["value"], figures["ngram"]["value"]
    return {
        "bench": "demo",
        "ours": ours,
        "peer": peer,
        "ratio": round(ours / peer, 4),
        "unit": "bits per byte",
        "n": figures["base"]["n"],
        "spread": figures["base"]["interval"],
        "machine": machine(),
        "seconds": round(seconds, 1),
        "seconds_cached": round(cached_seconds, 1),
        "seconds_by_stage": {stage: round(took, 1) for stage, took in outcome["stages"].items()},
        "bits_per_byte": {name: figure["value"] for name, figure in figures.items()},
        "exact_match": {
            skill["use"]: {
                **{result["of"]: result["value"] for result in skill["results"]},
                "interval": skill["results"][-1]["interval"],
                "majority": skill["majority"]["value"],
                "is_learnt": skill["results"][-1]["is_learnt"],
                "is_recall": skill["is_recall"],
            }
            for skill in report["skills"]
        },
    }


def _table(figures: dict[str, Any]) -> list[str]:
    lines = [f"{name:>12}  {value:6.3f} bits per byte" for name, value in figures["bits_per_byte"].items()]
    for skill, row in figures["exact_match"].items():
        low, high = row["interval"]
        lines.append(
            f"{skill:>12}  base {row['base']:6.1%}  chat {row['chat']:6.1%} [{low:.1%}, {high:.1%}]  "
            f"best constant answer {row['majority']:6.1%}{'  (recall)' if row['is_recall'] else ''}"
            f"{'' if row['is_learnt'] else '  NOT LEARNT'}"
        )
    lines += [f"{stage:>12}  {took:6.1f} s" for stage, took in figures["seconds_by_stage"].items()]
    return [*lines, f"{'in all':>12}  {figures['seconds']:6.1f} s, again: {figures['seconds_cached']:.1f} s"]


def _missed(figures: dict[str, Any]) -> list[str]:
    bits = figures["bits_per_byte"]
    missed = [f"base is not below {peer}" for peer in ("ngram", "xz") if bits["base"] >= bits[peer]]
    missed += [
        f"{skill}: {figures['exact_match'][skill]['chat']:.3f} < {bar}"
        for skill, bar in SKILL_BARS.items()
        if figures["exact_match"][skill]["chat"] < bar
    ]
    return missed + ([f"{figures['seconds']} s > {MAX_SECONDS} s"] if figures["seconds"] > MAX_SECONDS else [])


if __name__ == "__main__":
    sys.exit(main())
