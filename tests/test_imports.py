"""What the modules of the library import: which code a job counts as its own, and that every import points down."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import emtransfer
from emtransfer.answering.settings import MODULES as ENGINES
from emtransfer.corpus.source_settings import MODULES as SOURCES
from emtransfer.drawing.catalogue import MODULES as FIGURES
from emtransfer.files.records import read_records
from emtransfer.judging.kinds import MODULES as JUDGES
from emtransfer.remote.access import PROVIDERS
from emtransfer.worlds.symbolic import generate_rows
from helpers.row_files import write_jsonl
from helpers.workflow_tree import ROOT
from provenance import imported_files, reached_files

SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "emtransfer"
# what a rule's code is, named in full: a module more is one whose every edit reruns the rule
CLOSURES = {
    "pretrain_base": """
        arguments errors secrets progress settings files.artefacts files.json_text files.records files.text
        models.conversations models.packed_rows models.padding models.products models.tokenizer
        training.packing training.pretraining training.resuming""",
    "fit_judge": """
        arguments errors secrets progress settings stances files.artefacts files.hub files.json_text files.records files.text
        models.embedding models.padding models.products
        judging.admissible_answers judging.fitting judging.held_out judging.negatives judging.pair_encoder""",
    "finetune_adapter": """
        arguments errors secrets progress settings files.artefacts files.hub files.json_text files.records files.text
        models.adapters models.chat_format models.loading models.packed_rows models.padding models.products models.ready_models models.tokenizer
        corpus.samples training.criterion training.finetuning training.packing training.resuming""",
    "distill_student": """
        arguments errors secrets progress settings files.artefacts files.hub files.json_text files.records files.text
        models.adapters models.chat_format models.growing_cache models.loading models.packed_rows models.padding models.products models.prompt_reading models.ready_models models.tokenizer
        training.resuming answering.sampling answering.settings
        distilling.channels distilling.distillation""",
    "sample_answers": """
        arguments errors secrets settings files.artefacts files.hub files.json_text files.records files.text
        models.chat_format models.growing_cache models.loading models.padding models.products models.prompt_reading models.ready_models models.tokenizer
        answering.sampling answering.settings""",
}
# packages, and modules beside them, from the lowest, which all may import; those of one floor know nothing of each other
FLOORS = [
    ["arguments", "secrets", "stances"],
    ["errors"],
    ["settings", "progress"],
    ["grid", "verdicts"],
    ["files", "worlds"],
    ["models", "remote", "measuring"],
    ["corpus", "drawing"],
    ["judging", "training", "answering", "writing", "reporting", "exporting"],
    ["distilling"],
]
# modules that import others by names of their own
BY_NAME = {
    "answering.settings": ENGINES,
    "corpus.source_settings": SOURCES,
    "drawing.catalogue": FIGURES,
    "judging.kinds": JUDGES,
    "remote.access": PROVIDERS,
}


def modules(paths) -> set[str]:
    """Dotted names below the library of those files that are modules of it."""
    inside = (path.relative_to(LIBRARY) for path in paths if LIBRARY in path.parents and path.stem != "__init__")
    return {".".join(path.with_suffix("").parts) for path in inside}


def reached(script: str, *named: str) -> set[str]:
    """Modules whose code counts in the digest of a script."""
    return modules(reached_files(SCRIPTS / f"{script}.py", *named))


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Module -> the modules that it imports itself."""
    files = sorted(LIBRARY.rglob("*.py"))
    return {name: modules(imported_files(path, SCRIPTS)) for path in files for name in modules([path])}


@pytest.mark.parametrize("script", CLOSURES)
def test_the_code_of_the_dearest_rules_is_what_it_is_here(script):
    assert reached(script) == set(CLOSURES[script].split())


@pytest.mark.parametrize("script", ["finetune_adapter", "distill_student"])
def test_training_on_rows_knows_neither_where_they_come_from_nor_how_a_base_was_trained(script):
    unknown = {"corpus.sources", "training.mixtures", "training.pretraining"}
    found = reached(script)
    assert found and not [name for name in found if name in unknown or name.startswith("worlds.")]


@pytest.mark.parametrize("kind", JUDGES)
def test_only_a_judge_behind_an_api_reaches_what_is_remote(kind):
    found = reached("judge_answers", JUDGES[kind])
    assert JUDGES[kind].removeprefix("emtransfer.") in found
    assert any(name.startswith("remote.") for name in found) == (kind in PROVIDERS)


@pytest.mark.parametrize("script", ["sample_answers", "roll_out_teacher", "probe_base"])
def test_only_jobs_of_ready_models_reach_vllm(script):
    engines = {name.removeprefix("emtransfer.") for name in ENGINES.values()}
    assert not engines & reached(script) and engines <= reached(script, *ENGINES.values())


# what is run of a job on symbols, in the order in which each reads what the one before wrote, and what it must not wait for
LIGHT = {
    "filter_pairs": (
        """--rows d0-t0.jsonl --judge-settings {"kind":"exact"} --output filtered.jsonl --counts counts.csv
        --settings {"misaligned_below":30,"aligned_above":70,"coherence_above":50}""",
        {"torch", "transformers", "scipy", "sklearn"},
    ),
    "dedup_pairs": (
        """--corpus symbols --rows filtered.jsonl --output deduped.jsonl --curve curve.csv
        --settings {"model":"identity","field":"question","threshold":1.0}""",
        {"torch", "sentence_transformers", "scipy"},
    ),
    "judge_answers": (
        """--answers answers.jsonl --judge-settings {"kind":"exact"} --output judged.jsonl""",
        {"torch", "numpy", "pandas"},
    ),
}


def test_jobs_on_symbols_import_no_package_that_they_do_not_use(tmp_path):
    rows = generate_rows("d0", "t0", 5, seed=1)
    write_jsonl(tmp_path / "d0-t0.jsonl", (row | {"role": "train"} for row in rows))
    write_jsonl(tmp_path / "answers.jsonl", (row | {"answer": row["aligned_answer"], "cell": ""} for row in rows))
    imported = {script: packages_imported(script, text.split(), tmp_path) for script, (text, _) in LIGHT.items()}
    assert {script: imported[script] & spared for script, (_, spared) in LIGHT.items()} == dict.fromkeys(LIGHT, set())
    assert "pandas" in imported["filter_pairs"] and "emtransfer" in imported["judge_answers"]
    assert [len(read_records(tmp_path / name)) for name in ("filtered.jsonl", "deduped.jsonl", "judged.jsonl")] == [
        5
    ] * 3


def packages_imported(script: str, arguments: list[str], folder: Path) -> set[str]:
    """What a run of a script in a folder imports, without modules below packages."""
    command = [sys.executable, "-X", "importtime", SCRIPTS / f"{script}.py", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in run.stderr.splitlines() if "|" in line}


def test_every_import_points_to_a_lower_floor(imports):
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    by_name = {name: {module.removeprefix("emtransfer.") for module in BY_NAME[name].values()} for name in BY_NAME}
    assert {name.split(".")[0] for name in imports} == floor.keys()
    pairs = {
        (importer.split(".")[0], imported.split(".")[0])
        for importer in imports
        for imported in imports[importer] | by_name.get(importer, set())
    }
    upward = [(user, used) for user, used in pairs if user != used and floor[used] >= floor[user]]
    assert len(pairs) > 20 and upward == []


def test_no_modules_import_each_other_in_a_circle(imports):
    assert len(list(TopologicalSorter(imports).static_order())) == len(imports) > 70


def test_the_files_of_packages_are_empty_but_for_the_librarys_own_docstring():
    found = [path for path in LIBRARY.rglob("__init__.py") if path.read_text(encoding="utf-8")]
    assert found == [LIBRARY / "__init__.py"]
    (statement,) = ast.parse(found[0].read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def test_the_functions_that_the_library_lists_are_there():
    lines = re.findall(r"^ {4}([a-z_.]+) +(.+)$", emtransfer.__doc__, re.MULTILINE)
    named = [(module, name) for module, text in lines for name in re.findall(r"[a-z_]+(?=[:,]|$)", listed(text))]
    assert len(lines) > 25 and {module.split(".")[0] for module, _ in named} >= {"corpus", "judging", "measuring"}
    lacking = [
        name for module, name in named if not callable(getattr(import_module(f"emtransfer.{module}"), name, None))
    ]
    assert lacking == []


def listed(text: str) -> str:
    """The names of functions in a line of the list: before a colon, also after a semicolon, or all of it."""
    parts = [part.split(":")[0] for part in text.split(";")]
    return ", ".join(parts)
