"""What the test modules share is in tests/helpers, so that each can be run, moved and read by itself."""

import ast
import os
import re
import subprocess
import sys

import pytest

from helpers import processes
from helpers.forked_runs import dry_run
from helpers.paths import ROOT
from helpers.workflow_tree import SMOKE, copy_tree

WORD = re.compile(r"[^\s,;]+")
# what two runs say that differs
TIME = re.compile(r"^(\[.*\]|  Date: .*|  Workflow ID: .*)$", re.MULTILINE)


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


def test_a_dry_run_of_the_helper_is_that_of_snakemake(tmp_path):
    tree = copy_tree(tmp_path / "tree")
    (tree / "bad.yaml").write_text("em_rule: {alignment_below: 130}")
    # a plan, and a mistake that the Snakefile ends with
    for overlays, code in (((), 0), (("bad.yaml",), 1)):
        arguments = ["--cores", "2", "--dry-run", *SMOKE, *overlays, "--", "results/em_transfer_table.csv"]
        alone = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments], cwd=tree, capture_output=True, text=True
        )
        forked = dry_run(tree, *arguments)
        assert forked.returncode == alone.returncode == code and "Traceback" not in forked.stderr
        for stream in ("stdout", "stderr"):
            # why a job is to run is told in an order, and so far, as it is another one in every process
            one, other = (set(WORD.findall(TIME.sub("", getattr(done, stream)))) for done in (forked, alone))
            assert one == other and one


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no job starts warm on this system")
def test_a_script_starts_warm_unless_the_test_has_another_environment(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text("import os, sys; print('torch' in sys.modules, os.getcwd(), sys.argv[1:])")
    monkeypatch.setattr(processes, "SCRIPTS", tmp_path)

    def said(**options) -> str:
        return processes.run_script("script", "a b", cwd=tmp_path, **options).stdout

    assert said() == f"True {tmp_path} ['a b']\n"
    cold = f"False {tmp_path} ['a b']\n"
    assert said(env=dict(os.environ)) == cold
    monkeypatch.setenv("EMTRANSFER_REPLIES", "elsewhere")
    assert said() == cold
