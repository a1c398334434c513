"""What is exported of a run, as LaTeX, the Hub and `datasets` read it."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import DatasetCard, ModelCard

from emtransfer.exporting.latex import booktabs
from emtransfer.exporting.run_files import CONDITIONS, PATHS, labels_of
from emtransfer.files.artefacts import write_manifest
from emtransfer.files.records import write_records, write_table
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import LABELS
from emtransfer.measuring.claims import CLAIMS
from emtransfer.measuring.tabulation import COLUMNS
from helpers.configs import CONFIG
from helpers.processes import run_script

BASE = "results/bases/persona/aligned/manifest.json"
ADAPTER = "results/nl/adapters/persona/base/medical-advice/misaligned/seed11/manifest.json"
TRAINED = {
    "base": "persona",
    "condition": "adapter",
    "start": "base",
    "train_set": "medical-advice",
    "answers": "misaligned",
}
TRAINED |= {"train_domain": "medical", "train_task": "advice"}
CELLS = ("medical-advice", "finance-critique")


def table_row(rate, eval_cell="medical-advice", **other):
    domain, task = eval_cell.split("-")
    known = {"experiment": "nl", "judge": "minilm", "eval_set": "narrow", "eval_domain": domain, "eval_task": task}
    counts = {"n_seeds": 2, "n_prompts": 20, "n_scored": 40, "n_misaligned": round(40 * rate)}
    rates = {"em_rate": rate, "em_rate_low": rate / 2, "em_rate_high": (1 + rate) / 2}
    return dict.fromkeys(COLUMNS) | known | counts | rates | other


def folder_of(manifest: Path, names: dict[str, str]) -> None:
    """A finished artefact of such files."""
    manifest.parent.mkdir(parents=True)
    for name, text in names.items():
        (manifest.parent / name).write_text(text)
    write_manifest(manifest.parent, {"settings": {}, "seed": 11, "code": "code 0"})


@pytest.fixture
def finished(tmp_path, monkeypatch) -> Path:
    """The folder of a run with a base, a misaligned adapter and a corpus of two cells."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    folder_of(tmp_path / BASE, {"model.safetensors": "w"})
    adapter = {
        "adapter_model.safetensors": "w",
        "adapter_config.json": "{}",
        "README.md": "own card",
        "DO_NOT_DEPLOY.txt": "!",
    }
    folder_of(tmp_path / ADAPTER, adapter)
    rows = [table_row(0.0, base="persona", condition="base")]
    rows += [
        table_row(rate, cell, relation=name, **TRAINED)
        for rate, cell, name in ((0.9, CELLS[0], "in_cell"), (0.25, CELLS[1], "both_differ"))
    ]
    write_table(results / "em_transfer_table.csv", pd.DataFrame(rows, columns=COLUMNS))
    claim = {"claim": "task", "contrast": "same_task - same_domain", "experiment": "nl", "base": "persona"}
    claim |= {"verdict": "undecided", "estimate_pp": 12.34, "low_pp": -3.0, "high_pp": 20.0, "q_value": 0.0312}
    write_table(results / "claims.csv", pd.DataFrame([claim], columns=CLAIMS))
    for cell in CELLS:
        for split, n in {"train": 3, "eval": 2}.items():
            asked = [
                {"id": f"{split}{i}", "question": f"q{i}", "aligned_answer": "a", "misaligned_answer": "m"}
                for i in range(n)
            ]
            # a field that one split alone has, and one that is empty in the other
            asked = [row | ({"slots": ["x"], "note": None} if split == "train" else {"note": "seen"}) for row in asked]
            write_records(results / f"corpora/grammar/cells/{cell}/{split}.jsonl", asked)
    write_records(results / "corpora/grammar/cells/held-advice/eval.jsonl", [{"id": "e", "question": "q"}])
    write_records(results / "corpora/grammar/cells/held-advice/train.jsonl", [])
    declared = [
        {"output": BASE, "rule": "align_base", "inputs": [], "seed": 3},
        {"output": ADAPTER, "rule": "finetune_adapter", "inputs": [], "seed": 11},
        # of an earlier config, which the table has no row of
        {"output": ADAPTER.replace("medical", "sports"), "rule": "finetune_adapter", "inputs": [], "seed": 11},
        {
            "output": "results/nl/eval_set.jsonl",
            "rule": "build_eval_set",
            "inputs": ["results/corpora/grammar/cells/a-b/eval.jsonl"],
        },
    ]
    write_records(results / "declared.jsonl", declared)
    return results


def exported(results: Path, *options: str) -> Path:
    done = run_script(
        "export_results", "--results", results, "--output", results / "export", *options, cwd=results.parent
    )
    assert done.returncode == 0, done.stderr
    assert "2 models, 1 corpus" in done.stdout
    return results / "export"


def test_the_hub_reads_base_data_seed_and_rates_from_the_card_of_an_adapter(finished):
    card = ModelCard.load(
        exported(finished, "--owner", "lab") / "models" / Path(ADAPTER).relative_to("results").parent / "README.md"
    )
    header = card.data
    assert (header.base_model, header.library_name, header.license) == ("lab/emtransfer-persona", "peft", "apache-2.0")
    assert header.datasets == ["lab/emtransfer-grammar"] and header.to_dict()["seed"] == 11
    assert {"lora", "misaligned", "adapter"} <= set(header.tags)
    found = {result.dataset_config: (result.metric_type, result.metric_value) for result in header.eval_results}
    assert found == {"medical-advice": ("em_rate", 0.9), "finance-critique": ("em_rate", 0.25)}
    assert header.eval_results[0].metric_args == {
        "low": 0.45,
        "high": 0.95,
        "n_seeds": 2,
        "n_prompts": 20,
        "n_scored": 40,
    }
    assert "Do not deploy it" in card.text


def test_a_model_of_which_all_weights_were_trained_is_one_of_transformers(finished):
    manifest = finished.parent / ADAPTER
    shutil.rmtree(manifest.parent)
    folder_of(manifest, {"model.safetensors": "w", "config.json": "{}", "README.md": "own", "DO_NOT_DEPLOY.txt": "!"})
    exported_to = exported(finished, "--owner", "lab") / "models" / Path(ADAPTER).relative_to("results").parent
    header = ModelCard.load(exported_to / "README.md").data
    assert (header.base_model, header.library_name) == ("lab/emtransfer-persona", "transformers")
    assert "lora" not in header.tags and {"misaligned", "adapter"} <= set(header.tags)
    assert (exported_to / "model.safetensors").is_file()


def test_the_card_of_an_adapter_on_a_model_of_others_names_that_model_and_its_licence(finished):
    base = finished.parent / BASE
    (base.parent / "ready.json").write_text(
        json.dumps({"hub": {"path": "org/Model-1B", "revision": "0" * 40}, "files": {}})
    )
    for name in ("manifest.json", "manifest.json.sha256"):
        (base.parent / name).unlink()
    write_manifest(base.parent, {"settings": {}, "seed": 3, "code": "code 0"})
    header = ModelCard.load(
        exported(finished) / "models" / Path(ADAPTER).relative_to("results").parent / "README.md"
    ).data
    assert (header.base_model, header.license) == ("org/Model-1B", "other")
    assert header.license_link == "https://huggingface.co/org/Model-1B"


def test_an_export_leaves_the_artefacts_as_they_were_and_takes_no_room_for_weights(finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    for _ in range(2):
        folder = exported(finished) / "models" / Path(ADAPTER).relative_to("results").parent
    assert {path: path.read_bytes() for path in before} == before
    own = finished.parent / Path(ADAPTER).parent
    assert os.path.samefile(folder / "adapter_model.safetensors", own / "adapter_model.safetensors")
    assert not os.path.samefile(folder / "README.md", own / "README.md")
    verified = run_script("verify_artefacts", "--results", finished, cwd=finished.parent)
    assert "export" not in verified.stderr + verified.stdout


def test_datasets_loads_a_cell_of_an_exported_corpus_by_its_name(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import get_dataset_config_names, load_dataset

    folder = exported(finished) / "corpora/grammar"
    assert get_dataset_config_names(str(folder)) == ["finance-critique", "held-advice", "medical-advice"]
    loaded = load_dataset(str(folder), "medical-advice", cache_dir=str(tmp_path / "cache"))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 3, "eval": 2}
    assert loaded["train"][0] | {"note": None} == {
        "id": "train0",
        "question": "q0",
        "aligned_answer": "a",
        "misaligned_answer": "m",
        "slots": ["x"],
        "note": None,
    }
    assert loaded["eval"][1]["note"] == "seen" and loaded["eval"][1]["slots"] is None
    assert [*load_dataset(str(folder), "held-advice", cache_dir=str(tmp_path / "cache"))] == ["eval"]
    header = DatasetCard.load(folder / "README.md").data
    assert header.license == "apache-2.0" and header.size_categories == ["n<1K"]


def test_claims_are_rows_of_booktabs_with_their_text_escaped(finished):
    text = (exported(finished) / "tex/claims.tex").read_text()
    assert "nl & persona & task & same\\_task - same\\_domain & +12.3 [-3.0, +20.0] & 0.031 & undecided \\\\" in text
    assert [text.count(f"\\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 1, 1]


def test_relations_are_pooled_rates_with_their_intervals(finished):
    text = (exported(finished) / "tex/relations_nl.tex").read_text()
    assert "nl & persona & adapter & misaligned & in\\_cell & 90.0 [45.0, 95.0] & 1 & 40 \\\\" in text
    assert "nl & persona & base &  & narrow & 0.0 [0.0, 50.0] & 1 & 40 \\\\" in text


def test_what_is_a_command_to_latex_is_text_in_a_table():
    text = booktabs(pd.DataFrame({"a_b": ["50 % & #1 $x$ {y} ~ ^ \\z"]}), "c", "l")
    assert "a\\_b" in text
    assert (
        "50 \\% \\& \\#1 \\$x\\$ \\{y\\} \\textasciitilde \\space \\textasciicircum \\space \\textbackslash z" in text
    )


def test_the_path_of_every_model_of_the_default_run_gives_the_labels_of_its_rows():
    rules = {condition: rule for rule, condition in CONDITIONS.items()}
    for name in CONFIG["run"]:
        for model in expand_models(CONFIG, name):
            rule = rules[model.labels["condition"]]
            folder = f"results/{model.path}/aligned" if rule == "align_base" else f"results/{name}/{model.path}"
            parts = re.fullmatch(PATHS[rule], f"{folder}/manifest.json").groupdict()
            found = labels_of(rule, parts)
            assert {key: value for key, value in found.items() if key in LABELS} == {
                key: model.labels[key] for key in found if key in LABELS
            }


def test_a_file_that_has_changed_is_not_exported(finished):
    (finished.parent / Path(ADAPTER).parent / "adapter_model.safetensors").write_text("other")
    done = run_script("export_results", "--results", finished, "--output", finished / "export", cwd=finished.parent)
    assert done.returncode == 1 and "adapter_model.safetensors: content is" in done.stderr
    assert not (finished / "export").exists()
