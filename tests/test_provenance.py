"""Provenance strings: what changes a job's identity and what does not.

Every test writes two scripts and a package whose imports are known, edits a copy and compares the digests of both.
"""

import importlib.metadata
import json
from pathlib import Path

import pytest

import provenance
from helpers.paths import SCRIPTS
from provenance import code_digest, environment, keep_codes, reader, recall_codes, settings

FILES = {
    "train.py": '"""Train."""\nfrom emtransfer.losses import nats\n\n\ndef main():\n    """Run."""\n    return nats(2)\n',
    "judge.py": "def main():\n    from emtransfer import scores  # where used, so that --help is instant\n\n    return scores\n",
    "emtransfer/__init__.py": "VERSION = 1\n",
    "emtransfer/losses.py": "import math\n\nimport emtransfer.units\n\n\ndef nats(x):\n    return math.log(x) * emtransfer.units.SCALE\n",
    "emtransfer/units.py": "SCALE = 1.5\n",
    "emtransfer/scores.py": "from .units import SCALE\n",
    "emtransfer/unused.py": "LIMIT = 3\n",
}


def digests(folder: Path, **edits: tuple[str, str]) -> dict[str, str]:
    """Digests of both scripts of a tree in which `old` became `new` in the file named by each keyword."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        old, new = edits.get(path.stem, ("", ""))
        assert old in text
        path.write_text(text.replace(old, new) if old else text)
    return {script: code_digest(folder / f"{script}.py") for script in ("train", "judge")}


@pytest.fixture
def before(tmp_path) -> dict[str, str]:
    """Digests of the tree as it is."""
    return digests(tmp_path / "before")


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Scripts whose digest differs."""
    return {script for script in before if before[script] != after[script]}


def test_digest_of_a_copy_elsewhere_is_the_same_and_labelled(tmp_path, before):
    assert digests(tmp_path / "a" / "copy") == before
    assert all(digest.startswith("code ") for digest in before.values())
    assert before["train"] != before["judge"]


@pytest.mark.parametrize(
    "old, new",
    [
        ('"""Run."""', '"""Run it, in\n    two lines."""'),
        ('    """Run."""\n', ""),
        ('"""Train."""\n', ""),
        ("\n\n\ndef", "\n# a remark\n\n\ndef"),
        ("nats(2)", "nats(\n        2,\n    )  # two"),
        ("import nats", "import (nats)"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(tmp_path, before, old, new):
    assert changed(before, digests(tmp_path / "after", train=(old, new))) == set()


@pytest.mark.parametrize(
    "annotated, plain",
    [
        ("def main(x: int = 2, *, y: str = 'a') -> float:", "def main(x=2, *, y='a'):"),
        ("TWO: int = 2\n\n\ndef main():", "TWO = 2\n\n\ndef main():"),
        ("from typing import Any\n\n\ndef main(x: Any):", "def main(x):"),
        ("def main():\n    two: int = 2\n    three: int", "def main():\n    two = 2"),
    ],
)
def test_annotations_change_nothing(tmp_path, annotated, plain):
    found = [digests(tmp_path / name, train=("def main():", text)) for name, text in [("a", annotated), ("b", plain)]]
    assert found[0] == found[1]


def test_annotations_of_a_class_count_since_they_are_the_fields_of_a_dataclass(tmp_path, before):
    fields = [f"class Local:\n    two: {kind}\n\n\ndef main():" for kind in ("int", "float")]
    found = [digests(tmp_path / str(index), train=("def main():", text)) for index, text in enumerate(fields)]
    assert found[0]["train"] != found[1]["train"]


def test_what_is_imported_for_type_checkers_counts_neither_itself_nor_with_its_code(tmp_path):
    plain = '"""Train."""\nfrom typing import TYPE_CHECKING\n'
    typed = plain + "if TYPE_CHECKING:\n    from emtransfer.unused import LIMIT\n"
    found = [
        digests(tmp_path / name, train=('"""Train."""\n', text), unused=unused)["train"]
        for name, text, unused in [("a", plain, ("3", "3")), ("b", typed, ("3", "3")), ("c", typed, ("3", "4"))]
    ]
    assert len(set(found)) == 1


def test_a_module_that_is_imported_by_its_name_counts_where_it_is_named(tmp_path, before):
    script = tmp_path / "named/train.py"
    digests(tmp_path / "named")
    assert code_digest(script, "emtransfer.unused") != before["train"]
    digests(tmp_path / "edited", unused=("3", "4"))
    assert code_digest(tmp_path / "edited/train.py", "emtransfer.unused") != code_digest(script, "emtransfer.unused")
    assert code_digest(tmp_path / "edited/train.py") == before["train"]


def test_a_changed_constant_changes_its_script_only(tmp_path, before):
    assert changed(before, digests(tmp_path / "after", train=("nats(2)", "nats(3)"))) == {"train"}


def test_text_that_is_no_docstring_counts(tmp_path, before):
    assert changed(before, digests(tmp_path / "after", train=("return nats(2)", 'return "Run."'))) == {"train"}


def test_a_changed_module_changes_exactly_its_transitive_importers(tmp_path, before):
    assert changed(before, digests(tmp_path / "losses", losses=("log", "log2"))) == {"train"}
    assert changed(before, digests(tmp_path / "scores", scores=("SCALE", "SCALE as FACTOR"))) == {"judge"}
    assert changed(before, digests(tmp_path / "units", units=("1.5", "2.5"))) == {"train", "judge"}
    assert changed(before, digests(tmp_path / "unused", unused=("3", "4"))) == set()


def test_a_package_file_counts_for_all_who_import_from_the_package(tmp_path, before):
    assert changed(before, digests(tmp_path / "after", __init__=("1", "2"))) == {"train", "judge"}


def test_modules_that_import_each_other_end_the_search(tmp_path):
    (tmp_path / "one.py").write_text("import two\n")
    (tmp_path / "two.py").write_text("import one\n")
    assert code_digest(tmp_path / "one.py") == code_digest(tmp_path / "two.py")


def as_a_new_process(monkeypatch, kept: Path) -> list[str]:
    """Forget all code and recall what was kept; returns where the names of files are noted that are parsed from now on."""
    noted, parsed = [], provenance.parsed
    monkeypatch.setattr(provenance, "READ", {})
    monkeypatch.setattr(provenance, "RECALLED", {})
    monkeypatch.setattr(provenance, "parsed", lambda text, path, package: noted.append(path.name) or parsed(text, path, package))  # fmt: skip
    recall_codes(kept)
    return noted


def test_code_that_an_earlier_run_has_looked_at_is_parsed_again_only_where_it_has_changed(tmp_path, monkeypatch):
    kept, before = tmp_path / ".snakemake/code.json", {}
    # edits of units.py, and the files that a run after the one before then parses; the first one's are those that scripts reach
    reached = {"train.py", "judge.py", "__init__.py", "losses.py", "scores.py", "units.py"}
    for index, (edit, expected) in enumerate(
        [(("", ""), reached), (("", ""), set()), (("1.5", "2.5"), {"units.py"}), (("1.5", "2.5"), set())]
    ):
        with monkeypatch.context() as patch:
            parsed = as_a_new_process(patch, kept)
            found = digests(tmp_path / str(index), units=edit)
            assert set(parsed) == expected
            keep_codes(kept)
        assert found == before.setdefault(edit, found)
    assert changed(*before.values()) == {"train", "judge"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", json.dumps({"3.9.0 other": {}})]
    + [json.dumps({reader(): codes}) for codes in ([1], {"a": 1}, {"a": ["one"]}, {"a": [1, 2, 3]})],
)
def test_what_is_kept_by_another_python_or_is_damaged_is_found_anew(text, tmp_path, before, monkeypatch):
    kept = tmp_path / "code.json"
    kept.write_text(text)
    parsed = as_a_new_process(monkeypatch, kept)
    assert digests(tmp_path / "after") == before and len(parsed) == 6
    keep_codes(kept)
    assert as_a_new_process(monkeypatch, kept) == [] and len(provenance.RECALLED) == 6


def test_a_folder_that_cannot_be_written_to_keeps_nothing_and_stops_nothing(tmp_path, before):
    (tmp_path / "file").touch()
    keep_codes(tmp_path / "file/code.json")
    assert not list(tmp_path.rglob("code.json*"))


def test_every_script_of_the_project_has_a_digest_of_its_own():
    scripts = sorted(SCRIPTS.glob("*.py"))
    found = {code_digest(script) for script in scripts}
    assert scripts and len(found) == len(scripts)


def test_settings_hold_just_the_keys_that_are_read_in_sorted_order():
    section = {"rate": 0.5, "epochs": 3, "name": "ü"}
    assert json.loads(settings(section, "epochs", "rate", "absent")) == {"epochs": 3, "rate": 0.5}
    assert settings(section) == settings(dict(reversed(section.items())))


def test_swapped_values_give_another_set_of_settings():
    assert settings({"alignment": 30, "coherence": 50}) != settings({"alignment": 50, "coherence": 30})


def test_environment_names_the_computing_packages():
    found = environment()
    assert found.startswith("env python ")
    for name in ("torch", "transformers", "trl", "peft", "statsmodels"):
        assert f"{name} {importlib.metadata.version(name)}" in found
