"""The tail police: what a reader has to hold in mind at once is bounded, and every exception has a reason.

Reads sources with `ast` only; imports nothing of the package.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE, MAX_FUNCTION, MAX_NESTING, MAX_PARAMETERS = 400, 60, 3, 6
# Loops over raw memory (model/team) are given addresses and strides one by one, and walk through all axes themselves.
COMPILED, COMPILED_NESTING, COMPILED_PARAMETERS = {"Loop", "inline", "exact"}, 5, 9
USUAL_FUNCTION, USUAL_SHARE = 25, 0.9
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)

# "path::function" or "path" -> why it may pass the ceiling. An exception that is no longer needed fails the test.
EXCEPTIONS: dict[str, str] = {
    "src/whorl/model/cross_entropy.py::chunked_cross_entropy": "each parameter is a letter of one formula, named as in torch's",
    "src/whorl/model/paged.py::paged_attention": "queries, keys, values, where each of them stands, and how far a token sees",
    "src/whorl/infer/engine.py::__init__": "a model, its ids, its room, who guesses and when that pays, and a clock for tests",
    "src/whorl/cli/verbs/run.py::run": "the parameters of a verb are its options, each a word a person may type",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def length(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def nesting(node: ast.AST) -> int:
    """How many blocks lie inside each other at the deepest point; `elif` is as deep as its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            continue
        is_elif = (
            isinstance(node, ast.If)
            and isinstance(child, ast.If)
            and node.orelse == [child]
            and child.col_offset == node.col_offset
        )
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def parameters(function: Function) -> int:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return sum(name not in ("self", "cls") for name in names)


def is_compiled(function: Function) -> bool:
    return any(isinstance(one, ast.Name) and one.id in COMPILED for one in function.decorator_list)


def over_the_ceiling() -> dict[str, str]:
    """Every file and function past a ceiling, with its figure."""
    found = {}
    for path in sources("src", "tests", "bench"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE:
            found[name_of(path)] = f"{lines} lines, at most {MAX_FILE}"
        for function in functions(path):
            compiled = is_compiled(function)
            figures = {
                "lines": (length(function), MAX_FUNCTION),
                "nested blocks": (nesting(function), COMPILED_NESTING if compiled else MAX_NESTING),
                "parameters": (parameters(function), COMPILED_PARAMETERS if compiled else MAX_PARAMETERS),
            }
            faults = [f"{figure} {what}, at most {most}" for what, (figure, most) in figures.items() if figure > most]
            if faults:
                found[f"{name_of(path)}::{function.name}"] = "; ".join(faults)
    return found


def test_no_file_or_function_passes_its_ceiling_without_a_reason() -> None:
    faults = {place: fault for place, fault in over_the_ceiling().items() if place not in EXCEPTIONS}
    assert not faults, "\n".join(f"{place}: {fault}" for place, fault in faults.items())


def test_every_exception_is_still_needed_and_says_why() -> None:
    assert [place for place in EXCEPTIONS if place not in over_the_ceiling()] == []
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


def test_nine_of_ten_functions_are_short() -> None:
    lengths = [length(function) for path in sources("src") for function in functions(path)]
    short = sum(lines < USUAL_FUNCTION for lines in lengths)
    assert short >= USUAL_SHARE * len(lengths), f"{short} of {len(lengths)} functions are under {USUAL_FUNCTION} lines"


def test_no_file_is_named_after_nothing() -> None:
    named = [path for path in [*sources("src", "tests", "bench"), *(ROOT / "src").rglob("*/")] if path.stem in BANNED_NAMES]
    assert named == []


def test_every_module_opens_with_its_place() -> None:
    faults = []
    for path in sources("src"):
        opening = ast.get_docstring(parsed(path)) or ""
        place = path.relative_to(ROOT / "src" / "whorl").with_suffix("").as_posix()
        if not opening or (path.name != "__init__.py" and not opening.startswith(f"{place}: ")):
            faults.append(f'{name_of(path)}: want a docstring that opens with "{place}: ", got {opening[:40]!r}')
    assert not faults, "\n".join(faults)


def test_nothing_is_imported_relatively() -> None:
    nodes = [(path, node) for path in sources("src", "tests", "bench") for node in ast.walk(parsed(path))]
    assert [f"{name_of(path)}:{n.lineno}" for path, n in nodes if isinstance(n, ast.ImportFrom) and n.level > 0] == []


def test_nothing_in_the_package_prints() -> None:
    calls = [(path, node) for path in sources("src") for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    assert [f"{name_of(p)}:{c.lineno}" for p, c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"] == []


@pytest.mark.parametrize(
    ("code", "depth"),
    [
        ("x = 1", 0),
        ("if a:\n  b\nelif c:\n  d\nelse:\n  e", 1),
        ("for a in b:\n  with c:\n    if d:\n      e", 3),
        ("try:\n  a\nexcept B:\n  if c:\n    d", 2),
        ("if a:\n  b\nelse:\n  if c:\n    d", 2),
        ("if a:\n  def f():\n    for b in c:\n      d", 1),
    ],
)
def test_nesting_counts_blocks_and_not_elifs(code: str, depth: int) -> None:
    assert nesting(ast.parse(code)) == depth


def test_parameters_leave_out_self() -> None:
    (function,) = ast.parse("def f(self, a, /, b, *c, d, **e): pass").body
    assert isinstance(function, ast.FunctionDef)
    assert parameters(function) == 3
