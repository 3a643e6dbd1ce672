"""The command itself: which verbs there are, what help costs, how mistakes end."""

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from whorl.cli import app
from whorl.cli.app import main, sub_verbs, verb_names
from whorl.core.door import load

DOCS = Path(__file__).parents[2] / "docs"
HEAVY = ("torch", "pydantic", "pyarrow", "numpy", "numba", "tokenizers", "yaml")


def cli_tree() -> dict[str, tuple[str, ...]]:
    """Every verb with its sub-verbs, as the command line has them."""
    return {name: sub_verbs(name) for name in verb_names()}


def commands() -> list[tuple[str, ...]]:
    return [(name, *sub) for name, subs in cli_tree().items() for sub in ([(s,) for s in subs] or [()])]


def examples() -> list[str]:
    found = []
    for name, *sub in commands():
        verb = vars(load(f"whorl.cli.verbs.{name}"))[sub[0] if sub else name]
        lines = (inspect.getdoc(verb) or "").partition("\nExamples:\n")[2].splitlines()
        found += [line.strip() for line in lines if line.strip()]
    return found


def test_the_tree_is_the_one_people_were_promised():
    assert cli_tree() == {
        **dict.fromkeys(("adopt", "chat", "demo", "doctor", "gc", "generate", "init", "ls", "plan", "run", "show"), ()),
        **dict.fromkeys(("trace", "verify"), ()),
        "bench": ("decode",),
        "config": ("schema", "show"),
        "data": ("diff", "peek", "read", "stats", "whatif", "why"),
    }


def test_every_verb_the_docs_name_exists_and_every_verb_is_named_there():
    named = set(re.findall(r"`whorl ([a-z]+)", "".join(path.read_text() for path in DOCS.glob("*.md"))))
    assert named == set(cli_tree())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_verb_has_help_with_examples_and_the_shared_options(words, capsys):
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Examples:\n   whorl {' '.join(words)}" in text.replace(" \n", "\n") or "Examples:" in text
    assert "--json" in text
    assert "--offline" in text


@pytest.mark.parametrize("example", examples())
def test_every_example_can_be_read_by_its_verb(example):
    program, *words = shlex.split(example)
    command = typer.main.get_command(app._app(words))
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(program, words)  # raises where an option or a value is wrong


def test_every_verb_has_an_example():
    first = {tuple(shlex.split(example)[1:3]) for example in examples()}
    for words in commands():
        assert any(found[: len(words)] == words for found in first), words


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plan", "--help"], ["data", "--help"], ["data", "why", "--help"], ["chat", "--help"], ["generate", "--help"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments):
    command = [sys.executable, "-X", "importtime", "-m", "whorl", *arguments]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines()}
    assert "typer" in imported
    assert imported.isdisjoint(HEAVY)


def test_without_a_verb_help_is_shown(capsys):
    assert main([]) == 0
    assert "whorl demo" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"whorl \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plam"], "no verb 'plam'; did you mean 'plan'?"),
        (["plan", "--jso"], "'whorl plan' has no option '--jso'; did you mean '--json'"),
        (["show"], "missing argument 'NAME'; see 'whorl show --help'"),
        (["data"], "'whorl data' wants one of diff, peek, read, stats, whatif, why"),
        (["data", "pek"], "Did you mean 'peek'?"),
        (["data", "peek", "-n", "0"], "invalid value for '-n'"),
        (["gc", "--plan", "--apply"], "--plan and --apply: want one of the two"),
        (["plan", "a", "b"], "'b': want one recipe at most"),
        (["chat", "--max-tokens", "many"], "invalid value for '--max-tokens'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_3(arguments, said, capsys):
    assert main(arguments) == 3
    streams = capsys.readouterr()
    assert streams.err.startswith("error: ")
    assert said in streams.err
    assert streams.err.count("\n") == 1
    assert streams.out == ""


def test_with_json_a_mistake_is_a_document_too(capsys):
    assert main(["plan", "--jso", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["error"], document["exit_code"]) == ("UsageError", 3)


def test_a_fault_of_our_own_shows_where_and_asks_for_a_report(capsys, monkeypatch):
    monkeypatch.setattr("whorl.cli.reach.opened_workspace", lambda project: 1 / 0)
    assert main(["ls"]) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "error: this is a fault of whorl, not yours; please report it with the lines above" in said


def test_a_fault_of_the_world_shows_no_traceback(tmp_path, capsys):
    assert main(["plan", str(tmp_path)]) == 3
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path}/recipe.yaml: no recipe there; make one with 'whorl init', or name the file\n"
    )


def test_the_shell_can_complete_verbs_and_sub_verbs():
    def completed(words: str, number: int) -> list[str]:
        asked = {"_WHORL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        program = Path(sys.executable).with_name("whorl")
        shown = subprocess.run([program], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
        return shown.stdout.split()

    assert completed("whorl pl", 1) == ["plan"]
    assert sorted(completed("whorl data ", 2)) == ["diff", "peek", "read", "stats", "whatif", "why"]


def test_the_completion_script_can_be_shown():
    program = Path(sys.executable).with_name("whorl")
    command = f"{program} --show-completion && true"  # the shell is found among the parents; `&& true` keeps it there
    shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "_WHORL_COMPLETE=complete_bash" in shown.stdout
