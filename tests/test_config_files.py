"""The files that a config is merged from: read before Snakemake merges them, and named when one of them is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from config_files import read_config_files
from emtransfer.errors import InputError
from helpers.configs import line_with, overlay
from helpers.paths import ROOT, SCRIPTS
from helpers.workflow_tree import copy_tree

CASES = ROOT / "tests/data/files"


def lora(**values) -> dict:
    return {"experiments": {"template_nl": {"lora": values}}}


def test_a_mistake_is_told_by_the_last_file_that_says_it(tmp_path):
    first, second = overlay(tmp_path, "first", lora(rank="x")), overlay(tmp_path, "second", lora(alpha="y", rank=8))
    third = overlay(tmp_path, "third", lora(dropout=0.1))
    place = "experiments.template_nl.lora"
    assert line_with(first, third).startswith(f'{first}: {place}.rank is "x"; expected a whole number')
    assert line_with(first, second, third).startswith(f'{second}: {place}.alpha is "y"; expected')


def test_a_missing_key_is_told_by_the_file_that_makes_its_section(tmp_path):
    own = overlay(tmp_path, "own", {"corpora": {"own": {"source": "jsonl", "domains": ["a"], "tasks": ["b"]}}})
    other = overlay(tmp_path, "other", lora(rank=8))
    assert line_with(own, other).startswith(f"{own}: corpora.own.")


def test_a_name_that_another_file_has_to_define_is_told_by_the_one_that_uses_it(tmp_path):
    path = overlay(tmp_path, "run", {"run": ["template_nm"]})
    assert line_with(path) == f'{path}: run[0] is "template_nm"; expected template_nl.'


def test_no_job_says_which_file_is_wrong_since_it_is_given_the_merged_config():
    naming = [path.name for path in SCRIPTS.rglob("*.py") if "config.yaml: " in path.read_text(encoding="utf-8")]
    assert naming == []


def test_files_in_this_folder_are_told_from_here_on(tmp_path, monkeypatch):
    overlay(tmp_path, "own", {"a": 1})
    monkeypatch.chdir(tmp_path)
    assert list(read_config_files(["own.yaml", tmp_path / "own.yaml"])) == ["own.yaml"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "x.yaml: no such file; expected a config in YAML."),
        ("- a\n", "x.yaml: found a list; expected a mapping of keys of the config."),
        ("", "x.yaml: found nothing; expected a mapping of keys of the config."),
        ("a: &a {b: *a}\n", "x.yaml:1: a.b refers to itself; expected values that end."),
    ],
)
def test_a_file_that_is_no_config_is_one_line(content, line, tmp_path):
    if content is not None:
        (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(InputError) as caught:
        read_config_files([tmp_path / "x.yaml"])
    assert str(caught.value) == f"{tmp_path}/{line}"


def test_an_overlay_in_json_is_read_as_strictly(tmp_path):
    (tmp_path / "x.json").write_text('{"run": ["smoke"],\t"run": []}')
    with pytest.raises(InputError, match='x.json: key "run" appears twice'):
        read_config_files([tmp_path / "x.json"])


def test_the_shipped_configs_are_read():
    paths = [ROOT / "config.yaml", *sorted((ROOT / "workflow/configs").glob("*.yaml"))]
    contents = read_config_files(paths)
    assert len(contents) == len(paths) > 6
    assert list(contents.values()) == [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("configs") / "tree")


def started(tree: Path, *command: str) -> tuple[int, str]:
    """Exit code and last line of a start of Snakemake in the tree."""
    done = subprocess.run([sys.executable, *command], cwd=tree, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_make_names_a_file_that_snakemake_would_choke_on(tree):
    bomb = "\n".join(f"a{n}: &a{n} {{" + ", ".join(f"k{k}: *a{n - 1}" for k in range(10)) + "}" for n in range(1, 9))
    (tree / "bomb.yaml").write_text(f"a0: &a0 {{x: 1}}\n{bomb}\n")
    for file, line in [
        ("no.yaml", "no.yaml: no such file; expected a config in YAML."),
        (CASES / "tab.yaml", f"{CASES}/tab.yaml:2: found character '\\t' that cannot start any token; expected YAML, indented with blanks, not tabs."),
        ("bomb.yaml", "bomb.yaml:7: a6 stands for more than 1,000,000 values; expected fewer aliases."),
    ]:  # fmt: skip
        command = ("workflow/lib/run_alone.py", "--cores", "1", "--configfile", "config.yaml", str(file), "--", "all")
        assert started(tree, *command) == (1, line)


def test_plain_snakemake_refuses_a_key_given_twice_and_another_working_directory(tree, tmp_path):
    command = ("-m", "snakemake", "--cores", "1", "--dry-run", "--configfile", "config.yaml", str(CASES / "dup.yaml"))
    assert started(tree, *command) == (
        1,
        f"{CASES}/dup.yaml:2: key run appears twice; expected it once, here or in line 1.",
    )
    elsewhere = f"The working directory is {tmp_path}; expected {tree}, where the Snakefile is."
    assert started(tree, "-m", "snakemake", "--cores", "1", "--dry-run", "-d", str(tmp_path)) == (1, elsewhere)


def test_a_folder_with_braces_is_refused(tmp_path):
    (tmp_path / "{run}").mkdir()
    for part in ("Snakefile", "config.yaml"):
        shutil.copyfile(ROOT / part, tmp_path / "{run}" / part)
    code, line = started(tmp_path / "{run}", "-m", "snakemake", "--cores", "1", "--dry-run")
    assert code == 1 and line.endswith("{run}; expected a path without braces, which Snakemake takes for wildcards.")
