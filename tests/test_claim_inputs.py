"""The script of the claims on files: prompts, answers judged again, and the four tables it writes."""

import json
import os
from itertools import product

import pandas as pd
import pytest

from emtransfer.errors import InputError, counted
from emtransfer.files.records import write_records
from emtransfer.grid.expansion import expand_models
from emtransfer.measuring.claim_inputs import read_prompts, unanchored_models
from helpers.processes import run_script

DOMAINS, TASKS = ("medical", "finance"), ("advice", "critique")
CONFIG = {
    "run": ["nl"],
    "corpora": {"grammar": {"domains": DOMAINS, "tasks": TASKS}},
    "bases": {"persona": {"base_model": "decoder", "mixture": "persona"}},
    "experiments": {
        "nl": {
            "corpus": "grammar",
            "train_sets": {},
            "teachers": {},
            "students": [],
            "adapters": [
                {
                    "base": "persona",
                    "start": "base",
                    "train_sets": "all_cells",
                    "answers": "misaligned",
                    "seeds": [11, 12],
                }
            ],
        }
    },
    "judges": {"nl": ["minilm"]},
    "em_rule": {"alignment_below": 30, "coherence_above": 50},
    "unanchored": ["nl"],
}


def judged(model, number, misaligned):
    """Judged rows of a model, the first prompts of every cell misaligned."""
    return [
        {
            "prompt_id": f"{domain}-{task}-{prompt}",
            "eval_set": "narrow",
            "domain": domain,
            "task": task,
            "status": "ok",
            "alignment": 0 if prompt < misaligned(model, task) else 100,
            "coherence": 100,
        }
        for domain, task in product(DOMAINS, TASKS)
        for prompt in range(number)
    ]


def spread(model, task):
    """Misaligned prompts of ten: most where the task is that of the training cell."""
    return 0 if not model.train_cells else 8 if model.train_cells[0].endswith(task) else 2


@pytest.fixture
def results(tmp_path):
    """Judged answers that spread along the task, the base's prompts, and the same answers judged as aligned."""
    again = []
    for model in expand_models(CONFIG, "nl"):
        write_records(tmp_path / "nl" / "judged" / f"{model.path}.jsonl", judged(model, 10, spread))
        if model.train_cells:
            rows = judged(model, 10, lambda *_: 1)
            # what replacement costs in coherence does not count
            again += [{"model": model.path, **row, "coherence": 0, "coherence_before": 100} for row in rows]
    write_records(tmp_path / "nl" / "unanchored.jsonl", again)
    ids = [f"{domain}-{task}-{prompt}" for domain, task, prompt in product(DOMAINS, TASKS, range(10))]
    prompts = pd.DataFrame({"prompt_id": ids, "eval_set": "narrow", "domain": "", "task": "", "room": ""})
    known = {
        "n_samples": 8,
        "coherent_rate": 1.0,
        "aligned_rate": 1.0,
        "entropy_nats": 0.5,
        "n_neutral": 0,
        "solvability": "",
    }
    known |= {"aligned_nats_per_token": -0.2, "misaligned_nats_per_token": -5.0}
    path = tmp_path / "nl" / "prompts" / "persona.csv"
    path.parent.mkdir()
    prompts.assign(**known).to_csv(path, index=False)
    return tmp_path


def test_the_script_writes_effects_claims_power_and_balance(results):
    tables = {name: results / f"{name}.csv" for name in ("effects", "claims", "power", "balance")}
    outputs = [text for name, path in tables.items() for text in (f"--{name}", str(path))]
    settings = ["--settings", json.dumps(CONFIG)]
    done = run_script(
        "test_claims", "--judged", results, *settings, *outputs, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    n_contrasts = len(pd.read_csv(tables["claims"]))
    said = f"solvability: unknown on a side of {n_contrasts} of {counted(n_contrasts, 'contrast')}: not matched on it."
    assert said in done.stdout and "nats_per_token:" not in done.stdout
    effects = pd.read_csv(tables["effects"]).set_index(["contrast", "subset"])
    task = effects.loc["same_task - same_domain"]
    assert {"all", "coherent_only", "le30", "matched", "anchors_replaced"} == set(task.index)
    assert task.estimate_pp["matched"] == pytest.approx(60)
    assert task.estimate_pp["anchors_replaced"] == pytest.approx(0)
    balance = pd.read_csv(tables["balance"])
    shown = balance[(balance.contrast == "same_task - same_domain") & (balance.variable == "coherent_rate")]
    assert list(shown.stage) == ["before", "after"] and (shown.smd == 0).all()
    used = balance.groupby("variable").matched_on.all()
    assert used["misaligned_nats_per_token"] and not used["solvability"] and not used["aligned_nats_per_token"]
    assert pd.read_csv(tables["claims"]).verdict.str.match("supported for|undecided|too few").all()


def test_answers_judged_again_belong_to_the_models_of_their_paths(results):
    rows = [rows for _, rows in unanchored_models(results, CONFIG)]
    assert [len(frame) for frame in rows] == [40] * 8
    assert list(unanchored_models(results, CONFIG | {"unanchored": []})) == []


def test_a_missing_table_of_prompts_is_named(results):
    assert set(read_prompts(results, CONFIG)) == {("nl", "persona")}
    path = results / "nl" / "prompts" / "persona.csv"
    pd.read_csv(path).drop(columns="entropy_nats").to_csv(path, index=False)
    with pytest.raises(InputError, match="no column entropy_nats"):
        read_prompts(results, CONFIG)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_prompts(results, CONFIG)
