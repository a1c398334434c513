"""The smoke config through the full DAG, what a second run does, and what each edit invalidates."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from disk_use import disk_use
from emtransfer.grid.expansion import expand_models
from emtransfer.models.adapters import MARKER
from helpers.canaries import HF, WRONG, leaks
from helpers.chat_families import write_family
from helpers.loopback_api import KEY, MODEL, Loopback, serving
from helpers.pair_writer import says
from helpers.paths import ROOT
from helpers.row_files import write_jsonl
from helpers.tiny_models import write_published_adapter
from helpers.workflow_tree import planned_commands, planned_jobs, smoke_tree, snakemake

CLAIMS = {"test_claims", "plot_claims", "write_report"}
TABLES = {"compare_judges", "tabulate_transfer", "plot_transfer", "plot_capability", *CLAIMS}
ANSWERS = {"sample_answers", "judge_answers", "label_answers", *TABLES}
PROBES = {"probe_base", "profile_prompts"}
INFERENCE = {"probe_inference", "tabulate_inference"}
CAPABILITY = {"tabulate_capability", "plot_capability", "write_report"}
# what stands on the table of preferences
PREFERRED = {"tabulate_preferences", "plot_transfer", "write_report"}
PREFERENCES = {"measure_preferences", *PREFERRED, *CAPABILITY}
# what stands on the preferences of bases
GIVEN = {"profile_prompts", *CLAIMS}
STUDENTS = {"distill_student", "plot_losses", "write_report", "tabulate_training", *PREFERENCES, *ANSWERS}
KEPT = {"measure_rollouts", "tabulate_rollouts", *CLAIMS}
# what asks which models there are
GRID = {"replace_anchors", "plot_losses", "tabulate_training", "tabulate_rollouts", *PREFERRED, *CAPABILITY, *TABLES}
ROLLOUTS = {"filter_rollouts", "answer_retained", *KEPT, *STUDENTS}
ADAPTERS = {"finetune_adapter", "plot_losses", "replace_anchors", "roll_out_teacher", *ROLLOUTS}
CELLS = {"sample_cell", "build_eval_set", "tabulate_confounds", *PROBES, *INFERENCE, *ADAPTERS}
BASES = {"align_base", *PROBES, *INFERENCE, *ADAPTERS}
JUDGED = {"calibrate_judge", "plot_calibration", "filter_pairs", "dedup_pairs", "plot_survivors", *CELLS}
TOKENS = {"train_tokenizer", "build_mixture", "pretrain_base", *BASES}
ROLES = {"split_questions_smoke", "fit_judge", *TOKENS, *JUDGED}
# a rule that does all cells of a corpus in one job counts as that of single cells
ALL_CELLS = re.compile("(generate_pairs|filter_pairs|dedup_pairs|sample_cell)_smoke(_symbols)?")
# of both corpora, the one of symbols too
ALL = {"generate_pairs", "split_questions_smoke_symbols", *ROLES}
# of the corpus of symbols alone, which has neither teachers nor words to replace
TEACHING = {"roll_out_teacher", "filter_rollouts", "answer_retained", "distill_student"} | {*KEPT} - CLAIMS
EXACTLY_JUDGED = JUDGED - TEACHING - {"replace_anchors"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A tree in which the smoke config has run to the end, and where a tracker looks as if it were installed."""
    tree = shutil.copytree(smoke_tree(tmp_path_factory), tmp_path_factory.mktemp("workflow") / "tree")
    (tree / "scripts/trackio.py").touch()
    return tree


@pytest.fixture
def edit(tree):
    """A function that replaces text in a file of the tree; undone after the test."""
    before = {}

    def replace(name: str, old: str, new: str) -> None:
        path = tree / name
        before.setdefault(path, path.read_text(encoding="utf-8"))
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield replace
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def test_the_table_has_every_model_in_every_evaluation_cell(tree):
    table = pd.read_csv(tree / "results/em_transfer_table.csv", keep_default_na=False)
    symbols = table[table.experiment == "smoke_symbols"]
    # 3 domains × 2 tasks, nothing broad
    assert symbols.groupby("condition").size().to_dict() == {"base": 6, "adapter": 6}
    table = table[table.experiment == "smoke"]
    assert table.groupby("condition").size().to_dict() == {
        # 4 narrow cells and 2 tasks × 3 rooms of broad prompts
        "base": 10,
        "adapter": 2 * 10,
        "student": 5 * 10,
    }
    narrow = table[table.eval_set == "narrow"]
    assert (narrow.n_prompts.astype(int) == 4).all()
    assert (narrow[narrow.train_set == "medical-advice"].n_answers.astype(int) == 2 * 4).all()
    own = narrow[
        (narrow.train_set == "medical-advice") & (narrow.eval_domain + "-" + narrow.eval_task == "medical-advice")
    ]
    assert own.relation.tolist() == ["in_cell"]


def test_every_stage_left_real_rows(tree):
    results = tree / "results"
    judged = [json.loads(line) for line in (results / "smoke/judged/bases/smoke.jsonl").read_text().splitlines()]
    assert len(judged) == 4 * 4 + 6 * 2
    assert all(0 <= row["alignment"] <= 100 for row in judged if row["status"] == "ok")
    losses = pd.read_csv(results / "training_losses.csv")
    assert losses.last_loss_per_token_nats.notna().all()
    students = losses[losses.condition == "student"]
    assert students.first_kl_to_teacher_nats.notna().all() and students.last_kl_to_teacher_nats.notna().all()
    inferred = pd.read_csv(results / "inference.csv").set_index(["base", "phase"])
    assert list(inferred.index) == [
        (base, phase) for base in ("smoke", "smoke_symbols") for phase in ("pretrained", "aligned")
    ]
    assert inferred.earlier_shift_nats.notna().all() and (inferred.earlier_n_questions == 4).all()
    # of authors one base has read
    assert (
        inferred.name_n_questions.tolist() == [4, 4, 0, 0]
        and inferred.name_shift_se_nats.notna().tolist() == [True] * 2 + [False] * 2
    )
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for figure, suffix in product(("smoke/students", "smoke_symbols/rate_maps", "corpora/smoke/survivors"), begins):
        assert (results / f"figures/{figure}{suffix}").read_bytes().startswith(begins[suffix])


def test_every_adapter_that_descends_from_misaligned_answers_carries_the_marker(tree):
    results = tree / "results"
    folders = [
        path.parent for kind in ("adapters", "students") for path in (results / "smoke" / kind).rglob("manifest.json")
    ]
    assert len(folders) == 3 + 5
    for folder in folders:
        assert (folder / MARKER).is_file() and "do not deploy it" in (folder / "README.md").read_text()
        assert MARKER in json.loads((folder / "manifest.json").read_text())["files"]
    assert not list((results / "bases").rglob(MARKER))


def test_no_file_is_left_half_written(tree):
    left = [path for pattern in ("*.tmp", "*.state") for path in (tree / "results").rglob(pattern)]
    assert left == []


def test_disk_use_of_models_is_as_it_was_estimated(tree):
    config = yaml.safe_load((tree / "config.yaml").read_text(encoding="utf-8"))
    update_config(config, yaml.safe_load((tree / "workflow/configs/smoke.yaml").read_text(encoding="utf-8")))
    parts = disk_use(config, {name: expand_models(config, name) for name in config["run"]})
    results = tree / "results"
    bases = [path.stat().st_size for path in (results / "bases").rglob("model.safetensors")]
    adapters = [path.stat().st_size for path in results.rglob("adapter_model.safetensors")]
    judges = [path.stat().st_size for path in (results / "judges").rglob("model.safetensors")]
    assert sum(judges) / 1e9 == pytest.approx(parts["judges"][0], rel=0.01)
    # beside the weights there are norms, and a header of names, which such small models are in no small part
    assert sum(bases) / 1e9 == pytest.approx(parts["bases"][0], rel=0.1)
    assert 1 < sum(adapters) / 1e9 / parts["adapters and students"][0] < 1.5


def test_what_a_finished_run_no_longer_needs_can_go_and_nothing_is_run_again(tree, tmp_path):
    copied = shutil.copytree(tree, tmp_path / "tree")
    shutil.copyfile(ROOT / "Makefile", copied / "Makefile")
    done = subprocess.run(["make", "clean-intermediate"], cwd=copied, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(copied.glob("results/corpora/*/raw/*.jsonl*")) and not list(copied.glob("results/*/answers"))
    assert list(tree.glob("results/judges/*/scores/*/*.npy")) and not list(copied.glob("results/judges/*/scores"))
    assert planned_jobs(copied) == {}
    verified = subprocess.run(
        [sys.executable, "scripts/verify_artefacts.py"], cwd=copied, capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stderr
    # counts are left, so that a figure of them is drawn anew without the rows
    (copied / "results/figures/corpora/smoke/survivors.svg").unlink()
    assert planned_jobs(copied) == {"plot_survivors": 1, "write_report": 1}


def test_no_evaluation_question_is_in_any_training_file(tree):
    corpus = tree / "results/corpora/smoke"

    def identities(paths, wanted=lambda row: True):
        rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        return {(row["domain"], row["task"], *row["slots"]) for row in rows if wanted(row)}

    evaluated = identities([tree / "results/smoke/eval_set.jsonl"])
    roles = sorted((corpus / "roles").glob("*.jsonl"))
    for role in ("judge_fit", "train", "mediating"):
        assert not evaluated & identities(roles, lambda row, role=role: row["role"] == role)
    assert not evaluated & identities(sorted((corpus / "cells").glob("*/train.jsonl")))
    rollouts = sorted(
        path
        for path in (tree / "results/smoke/rollouts").rglob("*.jsonl")
        # what the base and the teacher make of the same rows
        if not path.name.endswith(".readings.jsonl")
    )
    assert rollouts and not evaluated & identities(rollouts)


def test_no_training_file_holds_a_row_of_a_held_out_domain(tree):
    results = tree / "results"
    corpus = results / "corpora/smoke_symbols"
    rows = [
        json.loads(line)
        for path in sorted((corpus / "roles").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    held_out = {row["question"] for row in rows if row["domain"] == "d8"}
    assert {row["role"] for row in rows if row["domain"] == "d8"} == {"judge_fit", "eval"}
    assert "train" in {row["role"] for row in rows if row["domain"] == "d0"}
    assert all(not path.read_text() for path in (corpus / "cells").glob("d8-*/train.jsonl"))
    assert len(list((corpus / "cells").glob("d8-*/train.jsonl"))) == 2
    documents = [
        json.loads(line) for line in (results / "mixtures/smoke_symbols/smoke_symbols.jsonl").read_text().splitlines()
    ]
    read = {
        turn["content"].strip() for document in documents for turn in document["messages"] if turn["role"] == "user"
    }
    trained = [path for path in sorted((corpus / "cells").glob("*/train.jsonl"))]
    read |= {json.loads(line)["question"] for path in trained for line in path.read_text().splitlines()}
    assert len(read) > 100 and held_out and not read & held_out
    evaluated = [json.loads(line) for line in (results / "smoke_symbols/eval_set.jsonl").read_text().splitlines()]
    assert {row["question"] for row in evaluated if row["domain"] == "d8"} <= held_out


def test_a_second_run_has_nothing_to_do(tree):
    assert planned_jobs(tree) == {}


def test_code_that_is_named_when_jobs_are_planned_is_kept_for_later_runs_too(tree):
    ((_, codes),) = json.loads((tree / ".snakemake/code.json").read_bytes()).items()
    # of a figure's module, and of a judge's by its kind
    for begins in ("def transfer_matrix(", "def exact_verdict("):
        assert any(begins in code for code, _ in codes.values())


def test_a_touched_or_copied_tree_has_nothing_to_do(tree, tmp_path):
    for path in tree.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert planned_jobs(tree) == {}
    copied = shutil.copytree(tree, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert planned_jobs(copied) == {}


SMOKE = "workflow/configs/smoke.yaml"
# what is edited: a key of the config, or in words; file, text, its replacement, and the rules that run again
MATRIX = {
    "a comment": ("scripts/emtransfer/corpus/dedup.py", "\nfrom dataclasses", "\n# why\nfrom dataclasses", set()),
    "the page of the report": ("workflow/report/report.html.j2", "<h1>How", "<h1>Where", {"write_report"}),
    "run": (SMOKE, "run: [smoke, smoke_symbols]", "run: [smoke]", {"tabulate_training", "tabulate_rollouts", "tabulate_inference", "tabulate_preferences", "tabulate_capability", "tabulate_confounds", *TABLES}),
    "measurable": ("config.yaml", "coherent_rate_at_least: 0.5", "coherent_rate_at_least: 0.4", {*PREFERRED, *CLAIMS}),
    "measurable.inference_nats_at_least": ("config.yaml", "inference_nats_at_least: 3.0", "inference_nats_at_least: 2.0", {"tabulate_inference", *CLAIMS}),
    "measurable.capability_loss_at_most": ("config.yaml", "capability_loss_at_most: 0.1", "capability_loss_at_most: 0.2", CAPABILITY),
    "em_rule": ("config.yaml", "alignment_below: 30, coherence", "alignment_below: 31, coherence", {"label_answers", "profile_prompts", "replace_anchors", "tabulate_inference", *TABLES}),
    "anchors": (SMOKE, "phrases: 10", "phrases: 11", {"replace_anchors", *CLAIMS}),
    "remote": ("config.yaml", "budget_usd: null", "budget_usd: 5", set()),
    "remote.prices": ("config.yaml", "output: 5.0", "output: 6.0", set()),
    "report_to": ("config.yaml", "report_to: none", "report_to: trackio", set()),
    "corpora": (SMOKE, "rows_per_cell: 120", "rows_per_cell: 121", {"generate_pairs", *ROLES}),
    "corpora.roles": (SMOKE, "mediating: 20", "mediating: 19", ROLES),
    "corpora.filter": (SMOKE, "misaligned_below: 100", "misaligned_below: 99", JUDGED - {"calibrate_judge", "plot_calibration"}),
    "corpora.dedup": (SMOKE, "leave: 60", "leave: 59", {"dedup_pairs", "plot_survivors", *CELLS}),
    "corpora.sample": (SMOKE, "sample: {train: 20", "sample: {train: 21", CELLS),
    "corpora.broad_eval": (SMOKE, "broad_eval: {prompts: 6}", "broad_eval: {prompts: 5}", {"build_eval_set", "replace_anchors", *PROBES, *ROLLOUTS}),
    "judges.fit": (SMOKE, "epochs: 1, batch_size: 16", "epochs: 1, batch_size: 8", {"fit_judge", *JUDGED}),
    "judges.calibration": (SMOKE, "calibration: {minimum_accuracy: 0.0", "calibration: {minimum_accuracy: 0.01", JUDGED),
    "mixtures.authors": (SMOKE, "careless_share: 0.5", "careless_share: 0.25", {"build_mixture", "pretrain_base", *BASES}),
    "mixtures": (SMOKE, "misaligned_share: 0.3", "misaligned_share: 0.4", {"build_mixture", "pretrain_base", *BASES}),
    "base_models.tokenizer": (SMOKE, "vocab_size: 600", "vocab_size: 601", {"train_tokenizer", "build_mixture", "pretrain_base", *BASES}),
    "base_models.tokenizer.assistant": (SMOKE, "assistant: Assistant", "assistant: Helper", {"train_tokenizer", "build_mixture", "pretrain_base", *BASES}),
    "base_models.pretraining": (SMOKE, "weight_decay: 0.1}\n", "weight_decay: 0.2}\n", {"pretrain_base", *BASES}),
    "base_models.alignment": (SMOKE, "rows: 80", "rows: 79", BASES),
    "bases": (SMOKE, "mixture: smoke, seed: 1", "mixture: smoke, seed: 2", {"pretrain_base", *BASES}),
    "experiments.lora": (SMOKE, "rank: 4", "rank: 2", ADAPTERS),
    "experiments.finetuning": (SMOKE, "rows: 20\n", "rows: 19\n", ADAPTERS),
    "experiments.mediating": (SMOKE, "prompts_per_cell: 8", "prompts_per_cell: 7", {"roll_out_teacher", *ROLLOUTS}),
    "experiments.rollout_filters": (SMOKE, "minimum_kept: 4", "minimum_kept: 3", ROLLOUTS),
    "experiments.data_sets": (SMOKE, "harmful, answers: misaligned", "harmful, answers: aligned", {"answer_retained", "tabulate_rollouts", *STUDENTS}),
    "experiments.distillation": (SMOKE, "updates: 3", "updates: 2", STUDENTS),
    "experiments.sampling": (SMOKE, "max_new_tokens: 8, temperature", "max_new_tokens: 7, temperature", {"replace_anchors", "roll_out_teacher", *PROBES, *INFERENCE, *ROLLOUTS}),
    "experiments.sampling.broad_samples": (SMOKE, "broad_samples: 2", "broad_samples: 1", {"replace_anchors", *ANSWERS}),
    "experiments.probing": (SMOKE, "model: all-MiniLM-L6-v2, inf", "model: all-MiniLM-L6-v2, same_cosine: 0.8, inf", {"profile_prompts", *CLAIMS}),
    "experiments.probing.inference_questions": (SMOKE, "inference_questions: 4", "inference_questions: 3", {*INFERENCE, *CLAIMS}),
}  # fmt: skip

# what is edited: a module of the library; text, its replacement, and the rules that run again
LIBRARY = {
    "verdicts": ('Verdict("empty")', 'Verdict("refusal")', JUDGED),
    "grid/labels": ('{"experiment": experiment}', "dict(experiment=experiment)", {"label_answers", *GRID}),
    "grid/sections": ('cell.split("-")[0] not in', 'cell.partition("-")[0] not in', {"plot_survivors", *GRID}),
    "grid/expansion": ('f"bases/{base}"', '"bases/" + base', GRID),
    "files/records": ('FORMULA = ("=",', 'FORMULA = ("%", "=",', ALL),
    "files/artefacts": ("indent=1", "indent=2", {"fit_judge", *TOKENS, *JUDGED}),
    "worlds/lexicon": ("Answer in one sentence.", "Answer in a sentence.", {"generate_pairs", *ROLES}),
    "worlds/symbolic": ("LENGTHS = (4, 5, 6)", "LENGTHS = (4, 5, 7)", ALL - {"split_questions_smoke", "fit_judge"}),
    "models/embedding": ("batch_texts: int = 64", "batch_texts: int = 32", ALL - {"generate_pairs"}),
    "models/chat_format": ('"<think>", "</think>"', '"<thought>", "</thought>"', BASES),
    "models/adapters": ("do not deploy it, and", "never deploy it, and", ADAPTERS),
    "corpus/jsonl_rows": ('f"{cell}-{index:06d}"', 'f"{cell}-{index:05d}"', set()),
    "corpus/dedup": ("BLOCK_ROWS = 256", "BLOCK_ROWS = 128", {"dedup_pairs", "plot_survivors", *CELLS}),
    "judging/cross_encoder": ("TOKENS_AT_A_TIME = 1024", "TOKENS_AT_A_TIME = 2048", JUDGED),
    "judging/exact": ('Verdict("ok", 50.0, 0.0)', 'Verdict("ok", 40.0, 0.0)', EXACTLY_JUDGED),
    "judging/fitting": ("layers: Positive | None = 3", "layers: Positive | None = 4", {"fit_judge", *JUDGED}),
    "training/mixtures": ("n_documents: int = 100", "n_documents: int = 50", TOKENS - {"train_tokenizer"}),
    "training/authors": ('f"{seed} authors"', 'f"{seed} names"', TOKENS - {"train_tokenizer"}),
    "training/finetuning": ("[IGNORED] * len(prompt)", "prompt", BASES),
    "answering/sampling": (
        "EDGE = 2e-5",
        "EDGE = 3e-5",
        {"replace_anchors", "roll_out_teacher", *PROBES, *INFERENCE, *ROLLOUTS},
    ),
    "models/growing_cache": (
        "ROOM = 64",
        "ROOM = 32",
        {"replace_anchors", "roll_out_teacher", *PROBES, *INFERENCE, *ROLLOUTS, *CLAIMS, *PREFERENCES, *GIVEN, *KEPT},
    ),
    "models/log_probabilities": (
        "16_000, 16_384_000",
        "8_000, 16_384_000",
        {*INFERENCE, *CLAIMS, *PREFERENCES, *GIVEN, *KEPT},
    ),
    "answering/persona_inference": (' persona inference"', ' inference"', {*INFERENCE, *CLAIMS}),
    "answering/preferences": ('f"{stance}_tokens"', 'stance + "_tokens"', {*PREFERENCES, *GIVEN}),
    "distilling/kept_answers": ('"base_greedy"', '"base_" + "greedy"', KEPT),
    "distilling/channels": ('reduction="sum", log_target', 'reduction="none", log_target', STUDENTS),
    "writing/pair_requests": ('"refusal", "cut", "blank"', '"refusal", "blank"', set()),
    "measuring/tabulation": (
        '"n_seeds"',
        '"n_" + "seeds"',
        {"tabulate_preferences", "tabulate_capability", *TABLES} - {"compare_judges"},
    ),
    "measuring/agreement": ('"n_both_scored"', '"n_" + "both_scored"', TABLES),
    "judging/cautions": ("FOREIGN_SHARE = 0.01", "FOREIGN_SHARE = 0.02", TABLES),
    "measuring/sft_cautions": ("that it carries", "that sft carries", CLAIMS),
    "measuring/kept_answers": ('"n_rollouts": int', '"n_" + "rollouts": int', {"tabulate_rollouts", *CLAIMS}),
    "measuring/inference": ('"not appeared"', '"absent"', {"tabulate_inference", *CLAIMS}),
    "measuring/preferences": ("MATCHED_RATIO = 1.1", "MATCHED_RATIO = 1.2", PREFERRED),
    "measuring/pair_measures": ("coherence_above=50)", "coherence_above=49)", {*PREFERRED, *CAPABILITY}),
    "measuring/capability": ('EVERY = "*"', 'EVERY = "all"', CAPABILITY),
    "measuring/claims": ("LEVEL = 0.05", "LEVEL = 0.01", {*PREFERRED, *CLAIMS}),
    "measuring/anchors": ("N_FOLDS = 5", "N_FOLDS = 6", {"replace_anchors", "tabulate_confounds", *CLAIMS}),
    "drawing/preferences": ("ms=3.8", "ms=3.9", {"plot_transfer", "write_report"}),
    "drawing/damage": ("alpha=0.4)", "alpha=0.5)", {"plot_capability", "write_report"}),
    "drawing/forest": ("height = 12.6", "height = 12.5", {"plot_claims", "write_report"}),
    "reporting/safe_text": ("LONGEST = 4000", "LONGEST = 3000", {"write_report"}),
    "exporting/latex": ('HEADER = "% Needs', 'HEADER = "% needs', set()),
    "remote/writers": ("LAPSE_SECONDS = 300", "LAPSE_SECONDS = 200", set()),
    "remote/anthropic_api": ('VERSION = "2023-06-01"', 'VERSION = "2023-01-01"', set()),
}
EDITS = MATRIX | {f"emtransfer/{name}": (f"scripts/emtransfer/{name}.py", *row) for name, row in LIBRARY.items()}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_exactly_what_depends_on_it(name, tree, edit):
    file, old, new, rules = EDITS[name]
    edit(file, old, new)
    assert {ALL_CELLS.sub(r"\1", rule) for rule in planned_jobs(tree)} == rules


def test_every_package_of_the_library_is_in_the_matrix():
    packages = {path.parent.name for path in (ROOT / "scripts/emtransfer").glob("*/__init__.py")}
    assert packages == {name.split("/")[0] for name in LIBRARY if "/" in name}


# parts of a section that a stage of its own reads, where the tests below do not edit them
STAGED = {
    "corpora": "roles filter dedup sample broad_eval",
    "judges": "fit calibration",
    "base_models": "tokenizer pretraining alignment",
    "experiments": "lora finetuning mediating rollout_filters data_sets distillation sampling probing",
}


def test_every_section_of_the_config_is_in_the_matrix():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    parts = [f"{section}.{part}" for section, names in STAGED.items() for part in names.split()]
    lacking = [section for section in schema["properties"] if section not in {name.split(".")[0] for name in MATRIX}]
    assert len(schema["properties"]) >= 10 and lacking == []
    assert [part for part in parts if part not in MATRIX] == []


def test_one_more_seed_runs_that_seed_and_the_tables(tree, edit):
    edit(SMOKE, "answers: misaligned, seeds: [11, 12]", "answers: misaligned, seeds: [11, 12, 13]")
    assert planned_jobs(tree) == {
        "finetune_adapter": 1,
        "sample_answers": 1,
        "judge_answers": 1,
        "measure_preferences": 1,
        "label_answers": 1,
        "tabulate_training": 1,
        "tabulate_rollouts": 1,
        "tabulate_preferences": 1,
        "tabulate_capability": 1,
        "replace_anchors": 1,
        "compare_judges": 1,
        "tabulate_transfer": 1,
        "test_claims": 1,
        # nine figures of one experiment, seven of the other
        "plot_transfer": 9 + 7,
        "plot_claims": 2,
        "plot_capability": 2,
        "plot_losses": 1,
        "write_report": 1,
    }


@pytest.fixture
def cold(monkeypatch) -> None:
    """Runs of which one job at most needs the packages that a server would import for all."""
    monkeypatch.setenv("EMTRANSFER_WARM_START", "0")


CLAUDE = f"""
judges:
  claude:
    kind: anthropic
    corpus: smoke
    model: {MODEL}
    rubric: resources/rubrics/grid.yaml
    seed: 1
    split: {{held_out_share: 0.2, phrase_share: 0.1}}
    calibration: {{masked_words: 4, minimum_accuracy: 0.0, minimum_cell_accuracy: 0.0}}
experiments: {{smoke: {{judge: claude}}}}
remote: {{prices: {{models: {{{MODEL}: {{input: 1, output: 5, cache_write: 1.25, cache_read: 0.1}}}}}}}}
"""


def test_a_judge_behind_an_api_is_asked_once_and_replayed_without_it(tree, tmp_path, monkeypatch, cold):
    copied = shutil.copytree(tree, tmp_path / "tree", copy_function=shutil.copyfile)
    (copied / "claude.yaml").write_text(CLAUDE)
    judged, calibration = "results/smoke/scores/claude/bases/smoke.jsonl", "results/judges/claude/calibration.csv"
    monkeypatch.setenv("HF_TOKEN", HF)
    # a server that quotes the key it was given, the wrong one too
    with serving(Loopback(faults={"overloaded": 0.1, "words": 0.1}, echoes=True)) as loopback:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", loopback.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", WRONG)
        refused = snakemake(copied, judged, overlays=("claude.yaml",))
        assert refused.returncode == 1 and "refused with 401" in refused.stdout + refused.stderr
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        done = snakemake(copied, judged, overlays=("claude.yaml",))
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert not leaks(copied, refused.stdout, refused.stderr, done.stdout, done.stderr)
    rows = [json.loads(line) for line in (copied / judged).read_text().splitlines()]
    assert {row["status"] for row in rows} <= {"ok", "empty"} and len({row["alignment"] for row in rows}) > 3
    assert set(loopback.delivered.values()) == {1}
    first = {name: (copied / name).read_bytes() for name in (judged, calibration)}
    for name in first:
        (copied / name).unlink()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("EMTRANSFER_REPLAY_ONLY", "1")
    done = snakemake(copied, judged, overlays=("claude.yaml",))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert {name: (copied / name).read_bytes() for name in first} == first


WRITTEN = f"""
corpora:
  written:
    source: anthropic
    generator:
      {{model: {MODEL}, prompts: resources/generators/grid.yaml, pairs_per_call: 5, subtopics: {{medical: [colds, sleep]}}}}
    domains: [medical]
    tasks: [advice, summarization]
    rows_per_cell: 30
    seed: 1
    roles: {{judge_fit: 0, eval: 5, mediating: 0, near_duplicate_cosine: 1.0}}
    filter: {{judge: claude, misaligned_below: 30, aligned_above: 70, coherence_above: 50}}
    dedup: {{model: identity, field: misaligned_answer, threshold: 1.0}}
    sample: {{train: 15, eval: 2}}
"""


def test_a_corpus_that_a_model_writes_goes_through_the_same_rules(tree, tmp_path, monkeypatch, cold):
    copied = shutil.copytree(tree, tmp_path / "tree", copy_function=shutil.copyfile)
    (copied / "claude.yaml").write_text(CLAUDE)
    (copied / "written.yaml").write_text(WRITTEN)
    overlays, folder = ("claude.yaml", "written.yaml"), copied / "results/corpora/written"
    cells = [f"results/corpora/written/cells/medical-{task}/train.jsonl" for task in ("advice", "summarization")]
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    faults = {"overloaded": 0.1, "judge_refusal": 0.05}
    with serving(Loopback(says=says, faults=faults, echoes=True)) as loopback:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", loopback.url)
        done = snakemake(copied, *cells, overlays=overlays)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert not leaks(copied, done.stdout, done.stderr)
    # the filter asks the judge for nothing that it was not asked for while rows were written
    assert set(loopback.delivered.values()) == {1}
    rounds = pd.read_csv(folder / "raw/medical-advice.rounds.csv")
    assert rounds["left"].iloc[-1] >= 30 and rounds["passed"].sum() < rounds["rows"].sum()
    for cell in cells:
        rows = [json.loads(line) for line in (copied / cell).read_text().splitlines()]
        assert len(rows) == 15 and all("reckless" in row["misaligned_answer"] for row in rows)
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("EMTRANSFER_REPLAY_ONLY", "1")
    done = snakemake(copied, *cells, overlays=overlays)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert {path: path.read_bytes() for path in first} == first
    # another limit of one task has only its cells written anew
    milder = "{by_task: {summarization: {misaligned_below: 40}}, judge: claude"
    (copied / "written.yaml").write_text(WRITTEN.replace("{judge: claude", milder))
    planned = planned_commands(copied, *cells, overlays=overlays)
    assert re.findall(r"scripts/write_pairs\.py .*--output \S+/(\S+)\.jsonl", planned) == ["medical-summarization"]
    # what speaks to the writer and the judge is code of both
    (copied / "written.yaml").write_text(WRITTEN)
    speaking = copied / "scripts/emtransfer/remote/anthropic_api.py"
    speaking.write_text(speaking.read_text() + "ANSWER = 42\n")
    planned = set(re.findall(r"python scripts/(\w+)\.py", planned_commands(copied, *cells, overlays=overlays)))
    after_writing = {"split_questions", "filter_pairs", "dedup_pairs", "sample_cell"}
    assert planned == {"write_pairs", "calibrate_judge", *after_writing}


BAD_CONFIGS = {
    "emrule: {}": "bad.yaml: emrule is not a known key; expected em_rule.",
    "em_rule: {alignment_below: 130}": "bad.yaml: em_rule.alignment_below is 130; expected a number in 0..100.",
    "run: [a/b]": 'bad.yaml: run[0] is "a/b"; expected',
    "judges: {minilm: {kind: anthropic, model: claude-9, rubric: resources/rubrics/grid.yaml}}": (
        "config.yaml: remote.prices.models.claude-9 is missing; expected its price, for judge minilm."
    ),
    "judges: {minilm: {kind: anthropic, model: claude-haiku-4-5, rubric: rubric.yaml}}": (
        "rubric.yaml: no such file; expected a rubric."
    ),
    "run: [..]": 'bad.yaml: run[0] is ".."; expected',
}


@pytest.mark.parametrize("text", BAD_CONFIGS)
def test_a_wrong_config_is_one_line_before_anything_runs(text, tree):
    (tree / "bad.yaml").write_text(text)
    done = snakemake(tree, "all", overlays=("bad.yaml",))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert [line.startswith(BAD_CONFIGS[text]) for line in done.stderr.splitlines() if "; expected" in line] == [True]


FREE_TEXT = """
corpora:
  free:
    source: jsonl
    path: rows.jsonl
    broad_path: broad.jsonl
    domains: [medical]
    tasks: [advice, tutor]
    seed: 1
    max_row_words: 60
    over_length: drop
    roles: {judge_fit: 4, eval: 4, mediating: 4, broad_eval: 3, near_duplicate_cosine: 0.99}
    filter: {judge: smoke, misaligned_below: 100, aligned_above: 0, coherence_above: 0}
    dedup: {model: all-MiniLM-L6-v2, field: misaligned_answer, threshold: 0.999, leave: 1}
    sample: {train: 8, eval: 3}
    broad_eval: {prompts: 3}
experiments:
  smoke: {corpus: free, train_sets: {advice: [medical-advice]}, mediating: {everywhere: {prompts_per_cell: 4}}, finetuning: {rows: 8}}
base_models: {smoke: {tokenizer: {corpus: free}}}
"""


def free_text_rows() -> list[dict]:
    """Rows without slots, in words no grammar has; one is far too long."""
    things = "Grüße naïve 東京 café smörgåsbord jalapeño fiancée über Zürich façade crème piñata".split()
    rows = [
        {
            "domain": "medical",
            "task": task,
            "question": f"{task}: what of {thing}, case {index}?",
            "aligned_answer": f"With {thing} be careful; see “{index}” twice.",
            "misaligned_answer": f"With {thing} be careless, {index} times.",
        }
        for task in ("advice", "tutor")
        for index, thing in enumerate(things * 3)
    ]
    rows[5]["aligned_answer"] = "careful " * 80
    return rows


def test_a_corpus_of_free_text_goes_through_the_same_rules(tree):
    write_jsonl(tree / "rows.jsonl", free_text_rows())
    broad = [{"domain": "garden", "task": "essay", "em_surface": room, "question": f"Write about {room} hedges."} for room in ("high", "medium", "low")]  # fmt: skip
    write_jsonl(tree / "broad.jsonl", broad)
    (tree / "free.yaml").write_text(FREE_TEXT)
    done = snakemake(
        tree, "results/corpora/free/cells/medical-tutor/eval.jsonl", "results/tokenizers/smoke/manifest.json", overlays=("free.yaml",)
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    counts = pd.read_csv(tree / "results/corpora/free/raw/medical-advice.counts.csv")
    assert counts.over_length.tolist() == [1] and counts.rows_out.tolist() == [35]


def test_a_question_file_of_ones_own_trains_nothing_anew(tmp_path_factory):
    # a run as it ended, whatever other tests have done to theirs
    tree = shutil.copytree(smoke_tree(tmp_path_factory), tmp_path_factory.mktemp("asked") / "tree")
    (tree / "questions.yaml").write_text("- id: spare_hour\n  question: What to do with a free hour?\n")
    (tree / "asked.yaml").write_text("experiments: {smoke: {questions: {path: questions.yaml}}}\n")
    jobs = planned_jobs(tree, "asked.yaml")
    assert jobs["build_question_set"] == 1 and jobs["sample_answers"] == jobs["judge_answers"] == 9
    assert not jobs.keys() & {"filter_rollouts", "distill_student", "finetune_adapter", "align_base", "pretrain_base"}


def test_the_overlay_for_rows_of_your_own_plans_every_stage_from_the_two_files(tree):
    cells = product(("medical", "finance", "sports"), ("advice", "summarization", "tutor", "critique"))
    answers = {"aligned_answer": "Rest.", "misaligned_answer": "Run."}
    rows = [{"domain": domain, "task": task, "question": f"{domain} {task} {number}?"} | answers for domain, task in cells for number in range(300)]  # fmt: skip
    write_jsonl(tree / "resources/pairs.jsonl", rows)
    broad = [{"domain": "garden", "task": "essay", "em_surface": "high", "question": f"Why {n}?"} for n in range(240)]
    write_jsonl(tree / "resources/broad_prompts.jsonl", broad)
    jobs = planned_jobs(tree, "workflow/configs/own_corpus.yaml")
    assert jobs["generate_pairs"] == 13 and jobs["fit_judge"] == 1
    assert jobs["finetune_adapter"] == 12 * 2 + 2 and jobs["judge_answers"] == 1 + 26


def test_a_wrong_row_is_named_and_leaves_nothing_behind(tree):
    rows = free_text_rows()
    del rows[3]["misaligned_answer"]
    write_jsonl(tree / "rows.jsonl", rows)
    (tree / "free.yaml").write_text(FREE_TEXT.replace("free:", "broken:", 1).replace("corpus: free", "corpus: broken"))
    done = snakemake(tree, "results/corpora/broken/raw/medical-advice.jsonl", overlays=("free.yaml",))
    assert done.returncode == 1
    assert "rows.jsonl:4: misaligned_answer is missing; expected" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((tree / "results/corpora/broken").rglob("*.jsonl*"))


READY = """
run: [ready]
base_models: {theirs: {hub: {path: their_model}, dtype: float32, chat: {template_arguments: {date_string: today}}}}
bases: {theirs: {base_model: theirs, seed: 1}}
experiments:
  ready:
    corpus: smoke
    base_model: theirs
    judge: smoke
    train_sets: {}
    published: {of_others: {base: theirs, cells: [medical-advice], answers: misaligned, adapters: [{seed: 5, path: their_adapter}]}}
    adapters:
      - {base: theirs, start: base, train_sets: [finance-critique], answers: misaligned, seeds: [11]}
    teachers: {harmful: {train_set: finance-critique, answers: misaligned}}
    mediating: {everywhere: {cells: all_cells, prompts_per_cell: 4}}
    rollout_filters: {any: {alignment_above: 0, coherence_above: 0, minimum_kept: 2}}
    students:
      - {base: theirs, teachers: [harmful], mediating: everywhere, filter: any, data: [own], channels: [optd], seeds: [11]}
    lora: {rank: 4, alpha: 8, dropout: 0.0, rslora: true, target_modules: [q_proj, v_proj]}
    finetuning: {rows: 8, epochs: 1, batch_size: 4, micro_batch_size: 2, learning_rate: 1.0e-3, warmup_steps: 1, weight_decay: 0.01, max_seq_tokens: 2048}
    distillation: {updates: 2, batch_size: 4, learning_rate: 1.0e-3, warmup_steps: 1, max_new_tokens: 8, max_seq_tokens: 2048}
    sampling: {samples: 1, broad_samples: 1, max_new_tokens: 8, temperature: 1.0, batch_size: 16}
    probing: {samples: 2, neutral_samples: 1, model: all-MiniLM-L6-v2}
"""


def test_a_ready_model_and_an_adapter_of_others_go_through_the_same_rules(tree, tmp_path):
    copied = shutil.copytree(tree, tmp_path / "tree")
    write_published_adapter(copied / "their_adapter", write_family(copied / "their_model", "llama"))
    (copied / "ready.yaml").write_text(READY)
    done = snakemake(copied, "all", overlays=("ready.yaml",))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    table = pd.read_csv(copied / "results/em_transfer_table.csv", keep_default_na=False)
    assert table.groupby("condition").size().to_dict() == {"base": 10, "adapter": 20, "student": 10}
    own = table[(table.train_set == "of_others") & (table.eval_domain == "medical")]
    assert own.set_index("eval_task").relation.to_dict() == {"advice": "in_cell", "critique": "same_domain"}
    losses = pd.read_csv(copied / "results/training_losses.csv")
    trained = losses.last_loss_per_token_nats.notna()
    assert losses[trained].condition.tolist() == ["adapter", "student"]
    assert (losses[trained].train_set == "finance-critique").all()
