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

# the table's figures come from these, which no folder artefact depends on
TABLE_PACKAGES = ("pandas", "scipy", "statsmodels", "scikit-learn")

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def settings(section: dict, *keys: str) -> str:
    """Sorted JSON of a config section, or of those of `keys` that it holds: all that a rule reads of the config."""
    return json.dumps({key: section[key] for key in section if not keys or key in keys}, sort_keys=True)


@cache
def code_digest(script: str | Path) -> str:
    """Digest of a script and every module beside it that it imports, directly or through another module.

    It depends on what the code does, not on how or where it is written: comments, docstrings, layout, folder and
    modification times do not count.

    Args:
        script: Python file; its folder is where it finds its own modules.

    Returns:
        `code` and 16 hex digits.
    """
    script = Path(script)
    folder = script.parent
    reached, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += imported_files(path, folder)
    codes = {path.relative_to(folder).as_posix(): bare_code(path) for path in reached}
    return f"code {hashlib.sha256(json.dumps(codes, sort_keys=True).encode()).hexdigest()[:16]}"


@cache
def bare_tree(path: Path) -> ast.Module:
    """Syntax tree of a file without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), path)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


@cache
def bare_code(path: Path) -> str:
    """A file's code, written anew without comments and docstrings; once a file, since most rules reach the same ones."""
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
