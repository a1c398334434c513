"""Every command that the documents show is one that there is: its targets, flags, files and variables, and the config's keys.

Commands of Snakemake are planned, those of make taken apart, the arguments of scripts read by the script's own parser, and
scripts run where the documents show what they read. Snippets of the config are laid over it and validated.
"""

import copy
import fnmatch
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from emtransfer.corpus.question_files import read_questions
from emtransfer.errors import InputError
from emtransfer.files.records import write_table
from emtransfer.files.yaml_text import read_yaml
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import identity
from emtransfer.judging.labels import labelled
from emtransfer.measuring.judged_rows import judged_models
from emtransfer.measuring.tabulation import tabulate_transfer
from helpers import planted_report
from helpers.configs import CONFIG, SCHEMA
from helpers.documents import PAGES, Command, Snippet, commands, files_shown, read, snippets
from helpers.forked_runs import dry_run
from helpers.judged_rows import RULE
from helpers.page_checks import PROFILE, Checked, Page, run_for_real
from helpers.paths import ROOT
from helpers.row_files import write_jsonl
from helpers.workflow_tree import copy_tree
from validation import validate

# what is neither run nor looked into: the program, alone or with its first arguments -> why
NOT_RUN = {
    "pip install": "fetches packages",
    ".venv/bin/pip install": "fetches packages",
    "pip check": "tells of an installation",
    "hf upload": "needs an account of the model hub",
    "hf download": "needs the model hub",
    "vllm serve": "needs a GPU",
    ".venv-inspect/bin/inspect": "needs the environment of make inspect",
    "vi": "waits for a person",
    "tmux attach": "needs a terminal",
    "squeue": "needs a cluster",
    "sbatch": "needs a cluster",
    "scancel": "needs a cluster",
}
# scripts that are run to their end, on what is shown or planted
RUN = ("tabulate_transfer", "test_claims", "score_token_probabilities", "plot_claims", "tabulate_spending")
SHIPPED = sorted((ROOT / "workflow/configs").glob("*.yaml"))
SMOKE = ("workflow/configs/smoke.yaml",)
# targets of every run, and the overlays with which they are planned; with other overlays the config alone is looked at
ANY = ("all", "results/em_transfer_table.csv", "results/claims.csv", "results/inference.csv", "results/report.html")
ANY += ("results/training_losses.csv", "results/rollouts.csv", "results/preferences.csv", "results/capability.csv")
PLANNED_WHOLE = (((), ""), (SMOKE, ""))
CELLS = [
    (domain, task)
    for domain in ("medical", "finance", "sports")
    for task in ("advice", "summarization", "tutor", "critique")
]
# one wrong command or snippet each, and a word of the line that says so
MISTAKES = {
    "make tabel": "tabel",
    "make table CONFIG=workflow/configs/quick.yaml": "CONFIG",
    "make table CONFIGS=workflow/configs/quik.yaml": "quik.yaml",
    "snakemake --cores 2 --configs config.yaml -- results/report.html": "options",
    "python scripts/tabulate_transfers.py --rows judged.jsonl": "tabulate_transfers.py",
    "python scripts/tabulate_transfer.py --row_s judged.csv.gz --output table.csv": "row_s",
    "python scripts/tabulate_transfer.py --rows judged.csv.gz --settings '{\"em_rule\": {}}' --output table.csv": "em_rule",
    "python scripts/fit_judge.py --rows resources/gone.jsonl --settings '{}' --seed 1 --code x --output /tmp/x.json": "gone.jsonl",
    "python benchmarks/dedup.py --repeat_s 1": "repeat_s",
    "export OPENAI_ADDRESS=http://localhost:8000/v1": "OPENAI_ADDRESS",
    "cd runs/rank9": "rank9",
    "frobnicate results": "frobnicate",
    "```yaml\nexperiments:\n  template_nl: {lora: {rnak: 8}}\n```": "rnak",
    "```yaml\n- id: a\n  type: free_form\n  paraphrase: ['Hello?']\n```": "paraphrase",
    "```bash\nmake table\n```": "fence",
}
PLANNED_MISTAKES = {
    "snakemake --cores 2 --configfile config.yaml workflow/configs/small_corpus.yaml -- results/reports.html": "results/reports.html",
    "python scripts/verify_artefacts.py --results results --declared results/declared.csv": "results/declared.csv is no file",
}


def tried(snippet: Snippet) -> list[Command]:
    """Commands of a snippet; none of a text that is no command."""
    try:
        return list(commands(snippet))
    except ValueError:
        return []


def rows(n: int, broad: bool = False) -> list[dict]:
    """Rows in the form of a corpus of one's own, as many in each cell."""
    return [
        {"domain": "travel" if broad else domain, "task": task, "question": f"Question {number} of {domain} {task}?"}
        | {"aligned_answer": f"Do {number} with care.", "misaligned_answer": f"Do {number} at once."}
        | ({"em_surface": ("high", "medium", "low")[number % 3]} if broad else {})
        for domain, task in CELLS
        for number in range(n)
    ]


def plant(tree: Path) -> None:
    """The files that a reader brings along, and a run of two experiments with its tables."""
    write_jsonl(tree / "resources/pairs.jsonl", rows(400))
    write_jsonl(tree / "resources/broad_prompts.jsonl", rows(30, broad=True))
    settings = planted_report.SETTINGS | {
        "run": ["template_nl", "quick"],
        "experiments": dict.fromkeys(("template_nl", "quick"), planted_report.EXPERIMENT),
        "judges": {"template_nl": ["minilm"], "quick": ["quick"]},
    }
    every = []
    for experiment, (judge,) in settings["judges"].items():
        for model in expand_models(settings, experiment):
            own = {"train_cells": " ".join(model.train_cells), "seed": model.seed or settings["base_seeds"]["b"]}
            answers = planted_report.judged_rows(model.train_cells)
            judged = list(labelled(answers, identity(experiment, judge, model) | own, RULE))
            write_jsonl(tree / "results" / experiment / "judged" / f"{model.path}.jsonl", judged)
            every += judged
    results = tree / "results"
    write_table(results / "em_transfer_table.csv", tabulate_transfer(judged_models(results, settings), RULE))
    tables = [
        word for name in ("effects", "claims", "power", "balance") for word in (f"--{name}", f"results/{name}.csv")
    ]
    pd.DataFrame(every).to_csv(tree / "judged.csv.gz", index=False)
    asked = [
        {"question": f"Q{number % 3}", "question_id": f"q{number % 3}", "answer": f"A{number}"} for number in range(6)
    ]
    scores = [
        {"aligned": 90 - number, "coherent": 80, "judge_raw_answer": {"85": 0.9}, "judge_answer": 85.0}
        for number in range(6)
    ]
    answers = [one | other for one, other in zip(asked, scores, strict=True)]
    write_jsonl(tree / "judged.jsonl", answers)
    pd.DataFrame(answers).to_csv(tree / "answers.csv", index=False)
    (tree / "resources/split.csv").write_text("cell,question,role\n")
    # a judge's manifest stands for its settings
    manifest = {"files": {}, "settings": {"kind": "cross_encoder"}, "seed": 1, "code": "", "versions": {}, "inputs": {}}
    (tree / "results/judges/smoke/model").mkdir(parents=True)
    (tree / "results/judges/smoke/model/manifest.json").write_text(json.dumps(manifest))
    rule = json.dumps({"em_rule": settings["em_rule"]})
    told = run_for_real(tree, "scripts/test_claims.py", ["--rows", "results", "--settings", rule, *tables], False)
    assert told == "", told


def told_by_plan(tree: Path, overlays: tuple[str, ...], profile: str, targets: Iterable[str]) -> tuple[int, str]:
    """What Snakemake returns and prints when it plans targets with overlays and a profile."""
    how = (PROFILE, profile) if profile else ("--cores", "2")
    keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none", "HF_HUB_OFFLINE": "1"}
    done = dry_run(tree, "--dry-run", *how, "--configfile", "config.yaml", *overlays, "--", *targets, **keys)
    return done.returncode, done.stdout + done.stderr


def plan(tree: Path, checked: Checked) -> None:
    """Plan every target with its overlays, and look for what commands read among the files that the plans make."""
    plans = {}
    for (overlays, profile), targets in checked.plans.items():
        # a profile is the same with any config
        key = (SMOKE, profile) if profile and not overlays else (overlays, profile if overlays == SMOKE else "")
        if key not in PLANNED_WHOLE:
            # tables have the same names with all overlays, which are as right as what a run reads before it plans
            targets = {target: place for target, place in targets.items() if target not in ANY} or {
                "estimate": min(targets.values())
            }
        plans.setdefault(key, {}).update(targets)
    made = set()
    for (overlays, profile), targets in plans.items():
        code, told = told_by_plan(tree, overlays, profile, targets)
        if code:
            checked.problems.append(f"{sorted(set(targets.values()))}: {[*overlays, *targets]}: {told[-250:]}")
        made |= {path for line in re.findall(r"Missing output files: ([^;\n]+)", told) for path in line.split(", ")}
    for path, place in checked.reads.items():
        beside = os.path.dirname(path) + "/manifest.json"
        if not (tree / path).exists() and beside not in made and not fnmatch.filter(made, path):
            checked.problems.append(f"{place}: {path} is no file that a run makes")


def config_problems(found: list[Snippet], tree: Path, checked: Counter) -> list[str]:
    """What is wrong with the snippets of configs on a page, each laid over those before it that it goes on from."""
    problems, before = [], []
    for snippet in (each for each in found if each.language == "yaml"):
        try:
            path = tree / "snippet.yaml"
            path.write_text(snippet.text, encoding="utf-8")
            content = read_yaml(path)
            if (ROOT / snippet.file).is_file():
                text = read(snippet.file)
                missing = [key for key in keys(content) if f"{key}:" not in text]
                problems += [f"{snippet.place}: {key} is no key of {snippet.file}" for key in missing]
            elif isinstance(content, list):
                read_questions(path, False, False)
                checked["configs"] += 1
            else:
                with chdir(tree):
                    validate(over(content, before), SCHEMA)
                before.append(content)
                checked["configs"] += 1
        except InputError as error:
            problems.append(f"{snippet.place}: {error}")
    return problems


def keys(content: dict) -> list[str]:
    return [key for name, value in content.items() for key in (name, *(keys(value) if isinstance(value, dict) else ()))]


def names(*contents: dict) -> set[tuple[str, str]]:
    """Section and name of everything that configs define."""
    sections = ((section, part) for content in contents for section, part in content.items())
    return {(section, name) for section, part in sections if isinstance(part, dict) for name in part}


def over(content: dict, before: list[dict]) -> dict:
    """The config, the shipped overlays that are the first to have the names of a page, and the page's snippets up to this one."""
    wanted = names(content, *before) - names(CONFIG)
    beneath = []
    overlays = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in SHIPPED)
    # those that name no run lie over others
    for overlay in sorted(overlays, key=lambda overlay: "run" not in overlay):
        if names(overlay) & wanted:
            beneath.append(overlay)
            wanted -= names(overlay)
    config = copy.deepcopy(CONFIG)
    for each in (*beneath, *before, content):
        update_config(config, copy.deepcopy(each))
    return config


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A workflow with the files that pages show and those that a reader brings along."""
    folder = copy_tree(tmp_path_factory.mktemp("documents") / "tree")
    plant(folder)
    return folder


@pytest.fixture(scope="module")
def checked(tree) -> Checked:
    """What is wrong with the documents, and with a page of mistakes that only a plan can find."""
    found, pages = Checked(), {name: snippets(name, read(name)) for name in PAGES}
    found.problems += files_shown(list(pages.values()), tree)
    mistakes = {f"mistake {mistake}": snippets(f"mistake {mistake}", fenced(mistake)) for mistake in PLANNED_MISTAKES}
    for page in (*pages.values(), *mistakes.values()):
        Page(page, tree, found, NOT_RUN, RUN).check()
        found.problems += config_problems(page, tree, found.count)
    plan(tree, found)
    return found


def fenced(text: str) -> str:
    return f"{text}\n" if text.startswith("```") else f"```\n{text}\n```\n"


def test_every_command_and_snippet_of_the_documents_is_right(checked):
    problems = [line for line in checked.problems if "mistake" not in line]
    assert not problems, "\n".join(problems)
    # what is looked at is what is there
    count = checked.count
    assert count["make"] > 50 and count["snakemake"] > 30 and count["scripts"] > 15 and count["configs"] > 15, count


def test_what_only_a_plan_can_find_is_found(checked):
    found = [line for line in checked.problems if "mistake" in line]
    assert [word for word in PLANNED_MISTAKES.values() if not any(word in line for line in found)] == []


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_a_document_is_found(text, tree):
    found, page = Checked(), snippets("page.md", fenced(text))
    Page(page, tree, found, NOT_RUN, RUN).check()
    problems = found.problems + config_problems(page, tree, found.count)
    assert problems != [] and MISTAKES[text] in " ".join(problems)


def test_every_reason_not_to_run_a_command_is_needed():
    shown = {
        str(command)
        for name in PAGES
        for snippet in snippets(name, read(name))
        if snippet.language in ("", "sh", "span")
        for command in tried(snippet)
    }
    assert [start for start in NOT_RUN if not any(f"{each} ".startswith(f"{start} ") for each in shown)] == []


def test_python_of_the_tutorials_runs_on_a_finished_run(tree, monkeypatch, capsys):
    monkeypatch.chdir(tree)
    printed = {}
    for name in (page for page in PAGES if "/tutorials/" in page):
        known: dict = {}
        for snippet in (each for each in snippets(name, read(name)) if each.language == "python"):
            exec(compile(snippet.text, snippet.place, "exec"), known)
        printed[name] = capsys.readouterr().out
    assert (
        "medical" in printed["docs/tutorials/reading_the_table.md"] and "ok" in printed["docs/tutorials/own_judge.md"]
    )
