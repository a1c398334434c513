"""The page on single jobs names every variable that the code reads from the environment, and scripts that there are."""

import re
from pathlib import Path

import pytest

from helpers.workflow_tree import ROOT

PAGE = (ROOT / "docs/single_jobs.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "Snakefile", ROOT / "Makefile"),
    *sorted((ROOT / "scripts").rglob("*.py")),
    *sorted(path for path in (ROOT / "workflow").rglob("*") if path.suffix in (".py", ".smk", ".yaml")),
]
# how a variable is read whose name stands there: in Python, in a rule's shell command, in make and in its shell
READS = (
    re.compile(r"""(?:environ(?:\.get|\.pop|\.setdefault)?|getenv)[(\[]\s*["'](\w+)"""),
    re.compile(r"\$\$?\{\{?([A-Z][A-Z_]+)\W"),
    re.compile(r"\b([A-Z][A-Z_]+)=\S+ (?:python|pytest|\$)"),
    re.compile(r"^([A-Z_]+) \?=", re.MULTILINE),
    re.compile(r"\$\((?:if \$\()?([A-Z_]+)\)"),
    re.compile(r"environ\.update\((\w+)="),
)
# and names that stand elsewhere, in a tuple or a docstring
NAMES = re.compile(r"\b(?:EMTRANSFER|ANTHROPIC|OPENAI|HF|HUGGING_FACE|OMP|CUDA)_[A-Z_]*[A-Z]\b")
# what make gives names to itself
OF_MAKE = {
    "CHROMIUM",
    "ELSEWHERE",
    "INSTALLED",
    "PIP_INSTALL",
    "IN_VENV",
    "RUN",
    "MADE",
    "TELL",
    "MAKEFILE_LIST",
    "CURDIR",
}


def read_by(text: str) -> set[str]:
    """Variables that a source reads from the environment."""
    return {name for pattern in READS for name in pattern.findall(text)} | set(NAMES.findall(text))


def described() -> dict[str, str]:
    """Variable -> its effect, as the page has it."""
    rows = re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (.+) \|$", PAGE, re.MULTILINE)
    return {name: effect for names, effect in rows for name in re.findall(r"`(\w+)`", names)}


def test_every_variable_that_the_code_reads_is_on_the_page():
    read = {name for path in SOURCES for name in read_by(path.read_text(encoding="utf-8"))} - OF_MAKE
    assert {"EMTRANSFER_LAUNCH", "EMTRANSFER_REMOTE", "HF_TOKEN", "OPENAI_BASE_URL", "PINS", "CONFIGS"} <= read
    assert read - described().keys() == set() and all(described().values())


def test_every_variable_of_ours_on_the_page_is_read():
    read = {name for path in SOURCES for name in read_by(path.read_text(encoding="utf-8"))}
    assert {name for name in described() if name.startswith("EMTRANSFER_")} <= read


def test_no_variable_is_read_by_a_name_that_cannot_be_found():
    """Where the name is no text at the place of reading, it is in a tuple or an argument that NAMES finds."""
    by_another = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for call in re.findall(r"(?:environ(?:\.\w+)?|getenv)[(\[].*", path.read_text(encoding="utf-8"))
        if not any(pattern.match(call) for pattern in READS)
    }
    # keys by a tuple; and all variables by which libraries choose their arithmetic, as part of what scores depend on
    assert by_another == {
        "scripts/emtransfer/secrets.py",
        "scripts/emtransfer/remote/sdks.py",
        "scripts/emtransfer/judging/cross_encoder.py",
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('os.environ.get("A_B", "1")', "A_B"),
        ("os.environ['A_B']", "A_B"),
        ("os.getenv('A_B')", "A_B"),
        ('"${{A_B:-python}} scripts/x.py"', "A_B"),
        ('--store "$${A_B:-replies}"', "A_B"),
        ('"A_B=1 python scripts/x.py"', "A_B"),
        ("A_B ?= python3", "A_B"),
        ("$(RUN) $(if $(A_B),--profile $(A_B))", "A_B"),
        ('KEYS = ("HF_OTHER",)', "HF_OTHER"),
    ],
)
def test_a_variable_is_found_however_it_is_read(text, name):
    assert name in read_by(text)


def test_scripts_and_pages_that_the_page_names_are_there():
    scripts = re.findall(r"scripts/\w+\.py", PAGE)
    links = re.findall(r"\]\(([\w/.]+)", PAGE)
    assert scripts and links
    assert all(Path(ROOT, script).is_file() for script in scripts)
    assert all(Path(ROOT, "docs", link).is_file() for link in links)
