"""Corpora from files against the numbers that the config asks of them: told all at once, before any job, with numbers that work."""

import copy
import json
import re
from pathlib import Path

import pytest
from snakemake.utils import update_config

from config_files import read_config_files
from emtransfer.grid import expansion
from helpers.configs import CONFIG
from helpers.paths import ROOT
from helpers.row_files import write_jsonl
from needed import needed
from row_counts import row_mistakes, workable

# rows of the aligned phase that would work, and the most that there are
ALIGNED = {"works": r"alignment\.rows of (\d+)", "most": r"alignment\.rows is \d+; expected at most (\d+)"}
KEYS = json.loads((ROOT / "workflow/schemas/settings_keys.json").read_text())["CorpusSettings"]
OVERLAYS = ROOT / "workflow/configs"
DOMAINS, TASKS = ("medical", "finance", "sports"), ("advice", "summarization", "tutor", "critique")


def pairs(path: Path, n_rows: int, cells=None) -> Path:
    cells = cells or [(domain, task) for domain in DOMAINS for task in TASKS]
    return write_jsonl(
        path,
        (
            {"domain": domain, "task": task, "question": f"{domain} {task} {number}?", "aligned_answer": "Rest.", "misaligned_answer": "Run."}
            for domain, task in cells
            for number in range(n_rows)
        ),
    )  # fmt: skip


def prompts(path: Path, n_rows: int) -> Path:
    row = {"domain": "travel", "task": "chat", "em_surface": "high"}
    return write_jsonl(path, (row | {"question": f"Where to, {number}?"} for number in range(n_rows)))


def lines(overlay: str, **corpus) -> list[str]:
    """What is told of a shipped overlay's corpus with some keys of its section changed, without the folder of overlays."""
    config, contents = copy.deepcopy(CONFIG), read_config_files([ROOT / "config.yaml", OVERLAYS / f"{overlay}.yaml"])
    for content in contents.values():
        update_config(config, content)
    (name,) = config["run"]
    config["corpora"][name] |= {key: str(value) if isinstance(value, Path) else value for key, value in corpus.items()}
    used = needed(config, {name: expansion.expand_models(config, name)})
    return [
        re.sub(r"^\S*configs/", "", line) for line in row_mistakes(config, used["corpus"], used["base"], KEYS, contents)
    ]


def test_every_number_that_30_rows_cannot_meet_is_told_at_once_with_those_that_would_work(tmp_path):
    path, broad = pairs(tmp_path / "x.jsonl", 30), prompts(tmp_path / "y.jsonl", 9)
    assert lines("own_corpus", path=path, broad_path=broad) == [
        "own_corpus.yaml: corpora.own.roles is judge_fit 100 + eval 60 + mediating 40, 200 of every cell; expected at most 30, the rows of medical-advice.",
        "own_corpus.yaml: corpora.own.sample.train is 80; expected at most 0, the rows of medical-advice that no role takes.",
        "own_corpus.yaml: corpora.own.roles is broad_judge_fit 0 + broad_eval 240; expected at most 9, the rows of broad_path.",
        "own_corpus.yaml: base_models.own.alignment.rows is 1400; expected at most 9, the rows of own that no role takes.",
        "corpora.own: with 30 rows a cell these would work: roles: {judge_fit: 7, eval: 6, mediating: 0, broad_judge_fit: 0, broad_eval: 9, …}, "
        "sample: {train: 12, eval: 4}, with alignment.rows of 204 and finetuning.rows of 12; workflow/configs/small_corpus.yaml is a whole overlay for 30 rows a cell.",
    ]  # fmt: skip


@pytest.mark.parametrize("n_rows", [5, 6, 9, 12, 30, 33, 400])
def test_the_numbers_that_are_told_work(n_rows, tmp_path):
    path, broad = pairs(tmp_path / "x.jsonl", n_rows), prompts(tmp_path / "y.jsonl", 240)
    numbers = workable(n_rows)
    numbers["roles"] |= {"broad_eval": 240}
    found = lines("own_corpus", path=path, broad_path=broad, **numbers)
    # but for the aligned phase, whose rows are another section's
    assert [line for line in found if " alignment.rows" not in line.replace(".alignment", " alignment")] == []
    told = {name: [int(n) for line in found for n in re.findall(pattern, line)] for name, pattern in ALIGNED.items()}
    assert all(works <= most for works, most in zip(told["works"], told["most"], strict=True))
    assert 1 <= numbers["sample"]["eval"] <= numbers["roles"]["eval"] and numbers["sample"]["train"] > 0


def test_of_fewer_than_five_rows_a_cell_no_numbers_are_told(tmp_path):
    found = lines("small_corpus", path=pairs(tmp_path / "x.jsonl", 4))
    assert found[-1] == "corpora.small: 4 rows of a cell are too few for any numbers; expected 5 or more."


def test_the_overlay_for_a_small_corpus_takes_30_rows_a_cell_and_no_fewer_than_25(tmp_path):
    assert lines("small_corpus", path=pairs(tmp_path / "x.jsonl", 30)) == []
    assert lines("small_corpus", path=pairs(tmp_path / "x.jsonl", 25)) == []
    # nor need there be as many cells
    cells = [("gardening", "advice"), ("gardening", "labels"), ("cooking", "advice"), ("cooking", "labels")]
    few = {"domains": ["gardening", "cooking"], "tasks": ["advice", "labels"]}
    assert lines("small_corpus", path=pairs(tmp_path / "x.jsonl", 30, cells), **few) == []
    found = lines("small_corpus", path=pairs(tmp_path / "x.jsonl", 24))
    assert (
        found[0]
        == "small_corpus.yaml: corpora.small.sample.train is 12; expected at most 11, the rows of medical-advice that no role takes."
    )


def test_a_judge_is_not_fitted_on_questions_outside_the_grid_that_have_no_answers(tmp_path):
    path, roles = pairs(tmp_path / "x.jsonl", 30), {**workable(30)["roles"], "judge_fit": 0, "broad_eval": 4}
    told = "roles.broad_judge_fit is 5; expected 0, since 9 rows of broad_path are without both answers."
    for broad_judge_fit, n_lines in ((5, 1), (0, 0)):
        asked = {"roles": roles | {"broad_judge_fit": broad_judge_fit}}
        found = lines("own_corpus", path=path, broad_path=prompts(tmp_path / "y.jsonl", 9), **asked)
        assert sum(line.endswith(told) for line in found) == n_lines


def test_cells_without_rows_and_repeated_questions_are_counted(tmp_path):
    path = pairs(tmp_path / "x.jsonl", 30, [(domain, task) for domain in DOMAINS for task in TASKS[1:]])
    path.write_text(path.read_text() * 2)
    first, *_ = lines("small_corpus", path=path)
    assert first.startswith(f"small_corpus.yaml: corpora.small.path is {path}, without rows of ")
    assert first.endswith(" medical-advice, finance-advice, sports-advice; expected rows of every cell.")
    # 20 different questions, twice
    path = pairs(tmp_path / "x.jsonl", 20)
    path.write_text(path.read_text() * 2)
    assert "expected at most 7, the rows of" in lines("small_corpus", path=path)[0]


def test_a_wrong_row_or_file_is_told_before_any_job(tmp_path):
    path = pairs(tmp_path / "x.jsonl", 30)
    path.write_text(path.read_text() + '{"domain": "law"}\n')
    assert lines("small_corpus", path=path) == [f"{path}:361: task is missing; expected text that is not blank."]
    assert lines("small_corpus", path="no.jsonl") == [
        "small_corpus.yaml: corpora.small.path is no.jsonl; expected a file of rows."
    ]


def test_the_readme_overlay_has_rows_enough_at_400_a_cell(tmp_path):
    assert (
        lines("own_corpus", path=pairs(tmp_path / "x.jsonl", 400), broad_path=prompts(tmp_path / "y.jsonl", 240)) == []
    )
