import ctypes
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from whorl.core.kernels import callback, kernel, source_closure

LEAF = "FACTOR = {factor}\n"
USER = """\
from whorl.core.kernels import kernel
from whorl_toy.leaf import FACTOR

@kernel()
def scaled(value):
    return value * FACTOR
"""


def test_a_kernel_computes_what_its_python_does():
    @kernel()
    def double(value):
        return 2 * value

    assert double(21) == double.py_func(21) == 42
    assert not numba.config.CACHE_DIR


def test_a_callback_can_be_called_by_its_address():
    @callback(numba.types.int64(numba.types.int64))
    def double(value):
        return 2 * value

    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(double())(21) == 42
    assert not numba.config.CACHE_DIR


def test_the_closure_holds_the_module_and_what_it_imports_at_any_remove():
    closure = source_closure("whorl.core.door")
    assert list(closure) == ["whorl.core.door", "whorl.core.errors"]
    assert all(path.is_file() for path in closure.values())
    assert source_closure("whorl.core.nothing_of_the_kind") == {}


@pytest.mark.parametrize("cache", ["own", "theirs"])
def test_a_constant_changed_in_another_file_is_seen(tmp_path: Path, cache: str):
    package = tmp_path / "site" / "whorl_toy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    # The pattern of imports takes any package whose name begins like the house's.
    (package / "user.py").write_text(USER)
    said = []
    for factor in (3, 5):
        (package / "leaf.py").write_text(LEAF.format(factor=factor))
        environment = {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
        if cache == "theirs":
            environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
        command = [sys.executable, "-c", "from whorl_toy.user import scaled; print(scaled(2))"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.strip())
    assert said == ["6", "10"]
    if cache == "theirs":
        assert len(list((tmp_path / "cache").iterdir())) == 2
