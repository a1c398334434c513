"""What a job depends on besides its files, as params: the settings it reads, its code and its environment.

Snakemake tracks no imported module and compares a rule's params as an unnamed set, so every string says what it is.
"""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from emtransfer.files.artefacts import PACKAGES

# the table's numbers come from these, on which no folder artefact depends
TABLE_PACKAGES = ("pandas", "scipy", "statsmodels", "scikit-learn")

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Code(NamedTuple):
    """What counts of a file: its code, written anew and quoted as in JSON, and the dotted names that it imports."""

    quoted: str
    names: list[str]


# hash of a file's text and package -> its code: what this process has looked at, and what an earlier one did
READ: dict[str, Code] = {}
RECALLED: dict[str, Code] = {}


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
    quoted = {
        path.relative_to(script.parent).as_posix(): code_of(path, script.parent).quoted
        for path in reached_files(script, *modules)
    }
    # a JSON object
    codes = ", ".join(f"{json.dumps(name)}: {quoted[name]}" for name in sorted(quoted))
    return f"code {hashlib.sha256(f'{{{codes}}}'.encode()).hexdigest()[:16]}"


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
def imported_files(path: Path, folder: Path) -> list[Path]:
    """Files below `folder` that a file imports anywhere in it, the packages they lie in included."""
    return [file for name in code_of(path, folder).names for file in files_of(name, folder)]


@cache
def files_of(name: str, folder: Path) -> list[Path]:
    """Files below `folder` that are, or hold, what a dotted name names; none of a package that is installed elsewhere."""
    parts, files = name.split("."), []
    for depth in range(1, len(parts) + 1):
        stem = folder.joinpath(*parts[:depth])
        files += [file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()]
    return files


@cache
def code_of(path: Path, folder: Path) -> Code:
    """What counts of a file below `folder`; once a file, since most rules reach the same ones."""
    text, package = path.read_bytes(), ".".join(path.parent.relative_to(folder).parts)
    key = hashlib.sha256(f"{package}\n".encode() + text).hexdigest()
    if key not in READ:
        READ[key] = RECALLED.get(key) or parsed(text, path, package)
    return READ[key]


def parsed(text: bytes, path: Path, package: str) -> Code:
    """What counts of a file, by its text."""
    tree = Bare().visit(ast.parse(text, path))
    return Code(json.dumps(ast.unparse(tree)), list(dict.fromkeys(imported_names(tree, package))))


def recall_codes(kept: Path) -> None:
    """Take what counts of files from what an earlier process has kept, if there is any: to find it takes a second of the processor."""
    # what is kept by another version of Python or of this file, which may write code otherwise, or is damaged, is no help
    with suppress(OSError, ValueError, KeyError, AttributeError, TypeError):
        RECALLED.update({key: Code(*code) for key, code in json.loads(kept.read_bytes())[reader()].items()})


def keep_codes(kept: Path) -> None:
    """Keep what counts of the files that were read, for later runs and for the jobs of this one on other nodes."""
    if READ.keys() <= RECALLED.keys():
        return
    written = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
    # a folder that may not be written to has it found anew each time
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        written.write_text(json.dumps({reader(): READ}), encoding="utf-8")
        written.replace(kept)


def reader() -> str:
    """What the code that is written anew depends on besides the files: Python and this file."""
    return f"{platform.python_version()} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"


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
