"""What the test modules share is in tests/helpers, so that each can be run, moved and read by itself."""

import ast
import re

from helpers.paths import ROOT


def imported(source: str) -> set[str]:
    """Modules that a source imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        # programs that a test hands to another process
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nfrom " in node.value:
            names |= set(re.findall(r"^from ([\w.]+) import", node.value, re.MULTILINE))
    return names


def test_imports_are_found_wherever_they_stand():
    source = 'import a, b.c\n\ndef f():\n    from d import e\n\nPROGRAM = """\nfrom g import h\n"""'
    assert imported(source) == {"a", "b.c", "d", "g"}


def test_no_test_module_is_imported():
    paths = [path for folder in ("tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    found = {path.name: imported(path.read_text(encoding="utf-8")) for path in paths}
    assert len(found) > 60 and "helpers.paths" in set().union(*found.values())
    assert {name: names for name, names in found.items() if any(part.startswith("test_") for part in names)} == {}
