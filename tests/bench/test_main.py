import json
import re
from pathlib import Path

import pytest
from bench.__main__ import FIELDS, Result, last_line, page, run_one, scripts

GOOD = {
    "bench": "demo",
    "ours": 2.5,
    "peer": 50.0,
    "ratio": 20.0,
    "unit": "s",
    "n": 3,
    "spread": "2.4 to 2.6",
    "machine": "2 cores",
    "pages": [1, 2],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    return tmp_path


def run(root: Path, code: str) -> Result:
    (root / "bench" / "claim.py").write_text(code)
    return run_one("claim", root)


def printing(figures: dict, then: str = "") -> str:
    return f"print('a table')\nprint({json.dumps(json.dumps(figures))})\n{then}"


def test_a_script_that_ends_with_its_figures_is_whole(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run(root, printing(GOOD))
    assert result == Result("claim", GOOD)
    assert result.is_whole
    assert capfd.readouterr().out.startswith("a table\n"), "what a script says is passed on"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (printing(GOOD, "raise SystemExit(2)"), "exit code 2"),
        (printing({**GOOD, "peer": None, "ratio": None}, "raise SystemExit(1)"), "peer missing"),
        ("raise SystemExit(1)", "exit code 1, no figures \\(Expecting value"),
        (
            printing({"ours": 1, "bench": "x"}),
            "exit code 0, no figures \\(the last line lacks peer, ratio, unit, n, ",
        ),
        ("print('[]')", f"the last line lacks {', '.join(FIELDS)}"),
    ],
)
def test_a_script_without_whole_figures_is_never_a_pass(root: Path, code: str, fault: str) -> None:
    result = run(root, code)
    assert not result.is_whole
    assert re.search(fault, result.fault)


def test_what_does_something_when_run_is_a_script(root: Path) -> None:
    for name in ("b.py", "a.py", "_draft.py", "__main__.py", "notes.txt"):
        (root / "bench" / name).write_text('if __name__ == "__main__":\n    main()\n')
    (root / "bench" / "shared.py").write_text("SIZE = 3\n")
    assert scripts(root / "bench") == ["a", "b"]


def test_the_page_has_a_row_and_a_section_for_each(root: Path) -> None:
    text = page([Result("demo", last_line(json.dumps(GOOD))), Result("lost", None, "exit code 1, no figures")])
    assert "| demo | 2.5 | 50 | 20 | s | 3 | 2.4 to 2.6 | `python -m bench.demo` |" in text
    assert "| lost | not measured | not measured |" in text
    assert "## demo\n\n- machine: 2 cores\n- pages: [1, 2]\n" in text
    assert "## lost\n\nNot whole: exit code 1, no figures.\n" in text
