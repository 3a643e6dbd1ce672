"""Checks the shapes that signatures promise, while tests run.

Every function of the package whose signature names a jaxtyping shape is wrapped with `jaxtyping.jaxtyped` and beartype as it is
imported. jaxtyping's own import hook wraps every function, and beartype refuses methods that return `Self`; this one leaves
functions without shapes as they are. Nothing is written to the byte-code cache.
"""

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

_DECORATOR = "__import__('jaxtyping').jaxtyped(typechecker=__import__('beartype').beartype)"


def install(package: str) -> None:
    """Check shapes in every module of the package that is imported from now on."""
    sys.meta_path.insert(0, _Finder(package))


def checked(source: str, path: str) -> CodeType:
    """The compiled module with its shaped functions wrapped; line numbers are those of the source."""
    tree = ast.parse(source, path)
    shapes = _imported_shapes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _names(_annotations(node)) & shapes:
            decorator = ast.parse(_DECORATOR, mode="eval").body
            for part in ast.walk(decorator):
                ast.copy_location(part, node)
            node.decorator_list.append(decorator)
    return compile(tree, path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not f"{fullname}.".startswith(f"{self._package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        source = self.get_data(self.path)
        return checked(source.decode(), self.path) if b"jaxtyping" in source else super().get_code(fullname)


def _imported_shapes(tree: ast.Module) -> set[str]:
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def _annotations(function: ast.FunctionDef) -> list[ast.expr]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [note for note in (function.returns, *(argument.annotation for argument in every)) if note is not None]


def _names(annotations: list[ast.expr]) -> set[str]:
    return {node.id for note in annotations for node in ast.walk(note) if isinstance(node, ast.Name)}
