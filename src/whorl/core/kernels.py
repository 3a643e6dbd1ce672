"""core/kernels: compile a function with numba and keep the machine code under the sources it was made from.

numba's own cache looks at the file of a function alone. A kernel takes in the constants and small functions it imports from
other files, so after a change there it would go on deciding by the old ones, without a word. Here the folder of the cache
carries a digest of the kernel's file and of every file of the house it imports, directly or through others. Compiles nothing
by itself.
"""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numba
from numba.core import config as numba_config

import whorl

__all__ = ["ARRAYS_GIVEN", "callback", "inner", "kernel", "source_closure"]

# Kernels that are handed every array and make none: counting references to arrays that go through small functions took more
# than half of the time (147 against 33 ns a word, measured on one core).
ARRAYS_GIVEN: Final[dict[str, Any]] = {"error_model": "numpy", "_nrt": False}

_settings: Any = numba_config
_IMPORTED = re.compile(r"^(?:from|import) (whorl[\w.]*)", re.MULTILINE)


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:  # noqa: ANN401 - numba's own options
    """A decorator: compiled at the first call, run without the interpreter's lock, kept on disk: a machine compiles once.

    Where the folder of the package cannot be written, numba's folder of the user is taken, and `NUMBA_CACHE_DIR` before both.
    """

    return _kept(lambda: numba.njit(cache=True, nogil=True, **options))


def callback(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[[], int]]:  # noqa: ANN401 - numba's own
    """A decorator: the address where C finds the function, which is compiled when that is first asked for and kept on disk as
    kernels are."""

    def deferred(function: Callable[..., Any]) -> Callable[[], int]:
        _digest(function.__module__)  # remembered: by the time it is compiled the file may say something else
        return lru_cache(maxsize=1)(lambda: int(_kept(lambda: numba.cfunc(signature, cache=True, **options))(function).address))

    return deferred


def _kept(decorator: Callable[[], Callable[..., Any]]) -> Callable[[Callable[..., Any]], Any]:
    """The decorator, made and used while numba's cache points to the folder of the function's sources."""

    def compiled(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - a dispatcher
        theirs = _settings.CACHE_DIR
        base = Path(theirs) if theirs else Path(whorl.__path__[0]) / "__pycache__" / "kernels"
        _settings.CACHE_DIR = str(base / _digest(function.__module__))
        try:
            return decorator()(function)
        finally:
            _settings.CACHE_DIR = theirs

    return compiled


def inner(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - a dispatcher
    """Compile what only kernels call: kept with its callers and without a way in from Python, a third less to compile."""
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)  # type: ignore[call-overload]


def source_closure(module: str) -> dict[str, Path]:
    """Files of the house a module is made of: its own and all it imports at its top, by module name. Imports nothing."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file(name)
        if path is not None:
            found[name] = path
            waiting += _imports(path)
    return dict(sorted(found.items()))


@lru_cache(maxsize=256)
def _digest(module: str) -> str:
    whole = hashlib.sha256(numba.__version__.encode())
    for name, path in source_closure(module).items():
        whole.update(name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


def _file(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # of the package around it: a line of text that only looks like an import
        return None
    return Path(spec.origin) if spec and spec.origin else None


@lru_cache(maxsize=256)
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_IMPORTED.findall(path.read_text(encoding="utf-8"))))
