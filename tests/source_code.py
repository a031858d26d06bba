"""The package's source, parsed: for the tests that count, and for those that look for a call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bundler"

type_of_definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class SourceFile(NamedTuple):
    """A Python file: its path below the folder that was read, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """The name by which Python imports a file of the package."""
        return "bundler." + self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    def definitions(self) -> Iterator[type_of_definition]:
        """The module, its classes and its functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, type_of_definition):
                yield node

    def import_lines(self) -> int:
        """Lines that import statements take."""
        imports = (node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom))
        return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in imports)


@cache
def source_files(folder: Path = PACKAGE, pattern: str = "*.py") -> tuple[SourceFile, ...]:
    """All Python files below a folder, in the order of their paths."""
    paths = sorted(folder.rglob(pattern))
    texts = [(str(path.relative_to(folder)), path.read_text()) for path in paths]
    return tuple(SourceFile(path, text, ast.parse(text)) for path, text in texts)
