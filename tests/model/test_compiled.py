"""Compiled blocks are the same function under the same names; where nothing can be compiled, the reason is told."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from whorl.model.compiled import compile_blocks

PROGRAM = Path(__file__).parent / "compiled_blocks.py"
CASES = ["llama none", "llama selective", "llama full", "qwen3 none", "modernbert none", "qwen3_moe none"]
FLOAT32 = 1e-4  # sums of a few dozen terms in another order, through two to four blocks


def answers(backend):
    done = subprocess.run([sys.executable, str(PROGRAM), backend], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def traced():
    """Through the tracer and the maker of gradients; only the C++ compiler is left out, which takes its time."""
    return answers("aot_eager")


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_written_blocks_under_the_same_names(traced, name):
    found = traced["cases"][name]
    assert found["choice"] == "compiled"
    assert found["names_stay"]
    assert found["difference"] < FLOAT32


@pytest.mark.parametrize("name", CASES)
def test_blocks_that_look_alike_share_one_piece_of_code_without_breaks(traced, name):
    found = traced["cases"][name]
    assert found["breaks"] == {}
    assert found["graphs"] <= 2 * found["looks"]  # modernbert's first block has no norm


def test_scoring_runs_as_written(traced):
    assert traced["scoring"] == {"same": True, "is_traced": False}


def test_a_copy_of_the_model_runs_its_own_blocks(traced):
    assert traced["twin"] == 0.0


def test_a_new_trace_gives_the_same_bits(traced):
    assert traced["again"]


def test_a_compiler_that_fails_is_named(traced):
    assert traced["failing"].startswith("as written")
    assert "Python.h" in traced["failing"]


def test_a_processor_is_not_compiled_for_unless_asked(tiny, filled):
    assert compile_blocks(filled(tiny("llama"))).name == "as written"
    assert compile_blocks(filled(tiny("llama")), wanted=False) == ("as written", "asked for")


def test_blocks_with_experts_run_as_written_and_it_is_said(tiny, filled):
    choice = compile_blocks(filled(tiny("mixtral")), wanted=True)
    assert choice.name == "as written"
    assert "experts" in choice.why


def test_without_a_compiler_blocks_run_as_written_and_it_is_said(tiny, filled, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    choice = compile_blocks(filled(tiny("llama")), wanted=True)
    assert choice == ("as written", "no C++ compiler (g++ or clang++) found")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no g++ here: compiled code is not measured")
def test_the_compiler_s_code_gives_the_same_bits_again_and_nearly_those_of_written_blocks():
    found = answers("inductor")
    assert found["again"]
    assert found["twin"] == 0.0
    assert all(case["choice"] == "compiled" and case["difference"] < FLOAT32 for case in found["cases"].values())
