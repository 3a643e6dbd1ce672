"""corpus/sources/python_docs: the docstrings of Python source files, by default the running Python's standard library.

Files are parsed, never imported. Every machine that can run this has the corpus; versions differ in content and size. Test
packages are left out, and so is everything installed beside the library.
"""

import ast
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from whorl.core.config import UNHASHED
from whorl.core.errors import DataError
from whorl.corpus.files import Unit, Unreadable, read_bytes, size_of, walk
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import Source

__all__ = ["PythonDocs"]

_NOT_LIBRARY = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "lib-dynload"})
_TOPICS = "pydoc_data.topics"  # a module that is one dictionary: the language reference, by topic
_MAX_FILE = 16_000_000

_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")  # where a statement holds other statements

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Doc(NamedTuple):
    kind: str  # module, class, function or topic
    name: str  # qualified within the module; empty for the module itself
    text: str
    signature: str | None = None


class PythonDocs(Source):
    """One document per docstring (module, class, function) and per topic of the language reference."""

    path: str = Field("", json_schema_extra=UNHASHED)  # a folder of Python sources; empty: the standard library
    licence: str | None = "PSF-2.0"

    def units(self, root: Path) -> list[Unit]:
        """See Source.units."""
        folder = root / self.path if self.path else Path(sysconfig.get_paths()["stdlib"])
        prefix = f"{self.name}/" if self.name else ""
        found = list(walk(folder, ".py", skip=_NOT_LIBRARY)) if folder.is_dir() else []
        if not found:
            raise DataError(f"no Python source files below {folder}; set path to a folder of them")
        return [Unit(prefix + path.relative_to(folder).as_posix(), path, size_of(path)) for path in found]

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: `module:Class.method`; a name defined again in the same file gets `#2`, `#3` ..."""
        rows = DocumentRows({"licence": self.licence, "language": "en"})
        module = self._module(unit)
        seen: Counter[str] = Counter()
        try:
            docs = list(_docs(_parsed(unit), module))
        except Unreadable as fault:
            docs = []
            rows.skip(Skip(unit.name, unit.name, fault.reason, fault.detail))
        for doc in docs:
            doc_id = f"{module}:{doc.name}" if doc.name else module
            seen[doc_id] += 1
            meta = {"kind": doc.kind, "name": f"{module}.{doc.name}" if doc.name else module}
            if doc.signature is not None:
                meta["signature"] = doc.signature
            again = f"#{seen[doc_id]}" if seen[doc_id] > 1 else ""
            prefix = f"{self.name}/" if self.name else ""
            rows.add({"id": f"{prefix}{doc_id}{again}", "text": doc.text, "source": unit.name}, meta)
        yield rows.harvest()

    def _module(self, unit: Unit) -> str:
        own = unit.name.removeprefix(f"{self.name}/") if self.name else unit.name
        return own.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _parsed(unit: Unit) -> ast.Module:
    data = read_bytes(unit, _MAX_FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's strings
            return ast.parse(data, filename=unit.name)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise Unreadable("not_python", f"{type(error).__name__}: {str(error)[:200]}") from error


def _docs(tree: ast.Module, module: str) -> Iterator[_Doc]:
    if (text := ast.get_docstring(tree)) is not None:
        yield _Doc("module", "", text)
    if module == _TOPICS:
        yield from _topics(tree)
    yield from _inner(tree, "")


def _inner(node: ast.AST, scope: str) -> Iterator[_Doc]:
    """Documentation of everything defined in the blocks of a statement, in the order of the file."""
    for child in chain.from_iterable(getattr(node, block, ()) for block in _BLOCKS):
        if isinstance(child, _Definition):
            is_class = isinstance(child, ast.ClassDef)
            name = f"{scope}{child.name}"
            if (text := ast.get_docstring(child)) is not None:
                yield _Doc("class" if is_class else "function", name, text, _signature(child))
            yield from _inner(child, f"{name}." if is_class else f"{name}.<locals>.")
        else:
            yield from _inner(child, scope)


def _signature(node: _Definition) -> str | None:
    if isinstance(node, ast.ClassDef):
        return None
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"


def _topics(tree: ast.Module) -> Iterator[_Doc]:
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
    for table in tables:
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield _Doc("topic", str(key.value), value.value.strip())
