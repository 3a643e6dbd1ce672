"""bench/__main__: run every script of this folder, each in its own process, and write docs/benchmarks.md from what they say.

A script prints what it likes and, as its last line, one JSON object with at least the fields of `FIELDS`. Nothing is edited by
hand and nothing is kept from earlier runs: what failed or lacks its peer is written down as such, and ends with exit code 1.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["FIELDS", "Result", "last_line", "page", "run_one", "scripts"]

FIELDS = ("bench", "ours", "peer", "ratio", "unit", "n", "spread", "machine")
ROOT = Path(__file__).parents[1]
HEAD = """\
# Benchmarks

Written by `make bench`; each row is the last line of one script in `bench/`, which runs whorl and its peer on the same input in
the same run. `ratio` is ours against the peer's in the unit named. On shared machines quote the ratio, not the time.

| claim | ours | peer | ratio | unit | n | spread | again |
|---|---|---|---|---|---|---|---|
"""


class Result(NamedTuple):
    """What became of one script: its figures, or why there are none."""

    name: str
    figures: Mapping[str, Any] | None
    fault: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the script ended well and measured its peer."""
        return self.figures is not None and not self.fault


def scripts(folder: Path) -> list[str]:
    """Names of the scripts, sorted: files that do something when run, apart from this one."""
    files = [path for path in folder.glob("*.py") if not path.name.startswith("_")]
    return sorted(path.stem for path in files if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"))


def last_line(output: str) -> dict[str, Any]:
    """The JSON object a script ends with. Raises ValueError saying what is wrong with it."""
    lines = output.strip().splitlines() or [""]
    figures = json.loads(lines[-1])
    missing = [field for field in FIELDS if not isinstance(figures, dict) or field not in figures]
    if missing:
        raise ValueError(f"the last line lacks {', '.join(missing)}")
    return dict(figures)


def run_one(name: str, root: Path) -> Result:
    """Run `python -m bench.NAME`, passing its output through as it comes."""
    lines = []
    with subprocess.Popen([sys.executable, "-m", f"bench.{name}"], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "asked for a pipe"
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    code = process.returncode
    try:
        figures = last_line("".join(lines))
    except ValueError as error:
        return Result(name, None, f"exit code {code}, no figures ({error})")
    if code != 0:
        return Result(name, figures, "peer missing" if figures["peer"] is None else f"exit code {code}")
    return Result(name, figures)


def page(results: Sequence[Result]) -> str:
    """The whole of docs/benchmarks.md."""
    text = HEAD + "".join(f"{_row(result)}\n" for result in results)
    for result in results:
        text += f"\n## {result.name}\n\n"
        if result.fault:
            text += f"Not whole: {result.fault}.\n\n"
        rest = {key: value for key, value in (result.figures or {}).items() if key not in FIELDS or key == "machine"}
        text += "".join(f"- {key}: {_shown(value)}\n" for key, value in rest.items())
    return text


def _row(result: Result) -> str:
    figures = result.figures or {}
    cells = [_shown(figures.get(field)) for field in FIELDS if field not in ("bench", "machine")]
    return f"| {' | '.join([result.name, *cells, f'`python -m bench.{result.name}`'])} |"


def _shown(value: object) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def main() -> int:
    """Run everything; returns the exit code."""
    results = [run_one(name, ROOT) for name in scripts(ROOT / "bench")]
    target = ROOT / "docs" / "benchmarks.md"
    target.write_text(page(results), encoding="utf-8")
    print(f"wrote {target.relative_to(ROOT)}")
    return 0 if all(result.is_whole for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
