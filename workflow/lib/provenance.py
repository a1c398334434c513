"""What a job depends on besides its files, as params: the settings it reads, its code and its environment.

Snakemake tracks no imported module and compares a rule's params as an unnamed set, so every string says what it is.
"""

import ast
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from emtransfer.files.artefacts import PACKAGES

# the table's numbers come from these, on which no folder artefact depends
TABLE_PACKAGES = ("pandas", "scipy", "statsmodels", "scikit-learn")

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def settings(section: dict, *keys: str) -> str:
    """Sorted JSON of a config section, or of those of `keys` that it holds: all that a rule reads of the config."""
    return json.dumps({key: section[key] for key in section if not keys or key in keys}, sort_keys=True)


@cache
def code_digest(script: str | Path, *modules: str) -> str:
    """Digest of a script and every module beside it that a run of it can reach, directly or through another module.

    It depends on what the code does, not on how or where it is written: comments, docstrings, annotations, what
    is imported for type checkers alone, layout, folder and modification times do not count.

    Args:
        script: Python file; its folder is where it finds its own modules.
        modules: dotted names of modules that it imports by their names, such as that of one kind of judge.

    Returns:
        `code` and 16 hex digits.
    """
    script = Path(script)
    codes = {path.relative_to(script.parent).as_posix(): bare_code(path) for path in reached_files(script, *modules)}
    return f"code {hashlib.sha256(json.dumps(codes, sort_keys=True).encode()).hexdigest()[:16]}"


@cache
def reached_files(script: Path, *modules: str) -> frozenset[Path]:
    """The files whose code counts in the digest of a script, its own included."""
    reached, waiting = (
        set(),
        [script, *(script.parent.joinpath(*name.split(".")).with_suffix(".py") for name in modules)],
    )
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += imported_files(path, script.parent)
    return frozenset(reached)


@cache
def bare_tree(path: Path) -> ast.Module:
    """Syntax tree of a file without what changes nothing when it runs."""
    return Bare().visit(ast.parse(path.read_text(encoding="utf-8"), path))


class Bare(ast.NodeTransformer):
    """Takes docstrings, annotations (but those of a class, which make a dataclass) and what is imported for them out of a tree."""

    in_class = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        return super().generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "typing" else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self.within(node, in_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.within(node, in_class=False)

    def within(self, node: ast.AST, in_class: bool) -> ast.AST:
        outside, self.in_class = self.in_class, in_class
        try:
            return self.generic_visit(node)
        finally:
            self.in_class = outside

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self.in_class:
            return node
        return node.value and ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


@cache
def bare_code(path: Path) -> str:
    """A file's code, written anew; once a file, since most rules reach the same ones."""
    return ast.unparse(bare_tree(path))


@cache
def imported_files(path: Path, folder: Path) -> list[Path]:
    """Files below `folder` that a file imports anywhere in it, the packages they lie in included."""
    package = ".".join(path.parent.relative_to(folder).parts)
    files = []
    for name in imported_names(bare_tree(path), package):
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            stem = folder.joinpath(*parts[:depth])
            files += [file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()]
    return files


def imported_names(tree: ast.Module, package: str) -> Iterator[str]:
    """Dotted names that a file imports; of `from x import y` both x and x.y, since y may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def environment() -> str:
    """`env` and the versions of Python and the packages that compute."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in PACKAGES + TABLE_PACKAGES)
    return f"env python {platform.python_version()}, {', '.join(versions)}"
