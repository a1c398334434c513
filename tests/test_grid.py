"""The grid of models, on a config small enough to be listed by hand."""

import pytest

from emtransfer.grid.expansion import expand_models, rollout_sets, teacher_path
from emtransfer.grid.labels import LABELS
from emtransfer.grid.sections import cells, chosen_cells, data_source, mediating_cells


@pytest.fixture
def config() -> dict:
    return {
        "corpora": {"c": {"domains": ["d1", "d2"], "tasks": ["t1", "t2"]}},
        "bases": {"b": {"base_model": "m", "mixture": "x", "seed": 1}, "unused": {"base_model": "m", "mixture": "x"}},
        "experiments": {
            "e": {
                "corpus": "c",
                "train_sets": {"both": ["d1-t1", "d2-t1"]},
                "adapters": [
                    {"base": "b", "start": "base", "train_sets": "all_cells", "answers": "misaligned", "seeds": [1, 2]},
                    {"base": "b", "start": "harmful", "train_sets": ["both"], "answers": "aligned", "seeds": [1]},
                ],
                "teachers": {"harmful": {"train_set": "both", "answers": "misaligned"}, "base": {}},
                "students": [
                    {
                        "base": "b",
                        "teachers": ["harmful", "base"],
                        "mediating": "m",
                        "filter": "f",
                        "data": ["own"],
                        "channels": ["sft", "opd-full"],
                        "seeds": [1],
                    }
                ],
            }
        },
    }


def test_cells_are_domains_by_tasks(config):
    assert cells(config["corpora"]["c"]) == ["d1-t1", "d1-t2", "d2-t1", "d2-t2"]
    assert chosen_cells(config["corpora"]["c"], ["d2-t1"]) == ["d2-t1"]


@pytest.mark.parametrize(
    ("train_set", "same_task", "same_domain", "both_differ"),
    [
        ("d1-t1", ["d2-t1", "d3-t1"], ["d1-t2"], ["d2-t2", "d3-t2"]),
        # of a union, what shares its task with any of its cells is that, whatever its domain; its own cells are none of them
        ("both", ["d3-t1"], ["d1-t2", "d2-t2"], ["d3-t2"]),
    ],
)
def test_mediating_cells_may_be_named_by_their_relation_to_the_teachers_own(
    config, train_set, same_task, same_domain, both_differ
):
    config["corpora"]["c"]["domains"].append("d3")
    experiment = config["experiments"]["e"]
    experiment["teachers"]["harmful"]["train_set"] = train_set
    relations = {"same_task": same_task, "same_domain": same_domain, "both_differ": both_differ}
    experiment["mediating"] = {f"m_{name}": {"cells": name} for name in relations} | {"m": {"cells": "all_cells"}}
    for name, expected in relations.items():
        assert mediating_cells(config, experiment, f"m_{name}", "harmful") == expected
    assert mediating_cells(config, experiment, "m", "base") == cells(config["corpora"]["c"])


def test_kept_answers_are_a_set_for_every_teacher_that_gives_answers_or_prompts(config):
    experiment = config["experiments"]["e"]
    experiment["students"][0] |= {"data": ["harmful", "careless"], "seeds": [1, 2]}
    experiment["data_sets"] = {"careless": {"prompts_of": "base", "answers": "misaligned"}}
    kept = rollout_sets(experiment, expand_models(config, "e"))
    expected = [f"rollouts/b/{teacher}/m/f/seed{seed}" for teacher in ("harmful", "base") for seed in (1, 2)]
    assert sorted(one.path for one in kept) == sorted(expected)
    assert {(one.base_model, one.base, one.mediating, one.filter) for one in kept} == {("m", "b", "m", "f")}


def test_every_model_comes_once_and_unused_bases_do_not(config):
    config["experiments"]["e"]["adapters"] *= 2
    paths = [model.path for model in expand_models(config, "e")]
    assert len(paths) == len(set(paths)) == 1 + 8 + 1 + 4
    assert paths[0] == "bases/b"
    assert not any("unused" in path for path in paths)


def test_labels_say_what_was_trained_on(config):
    models = {model.path: model for model in expand_models(config, "e")}
    cell = models["adapters/b/base/d1-t2/misaligned/seed2"]
    assert (cell.labels["train_domain"], cell.labels["train_task"], cell.seed) == ("d1", "t2", 2)
    union = models["adapters/b/harmful/both/aligned/seed1"]
    assert (union.labels["train_domain"], union.labels["train_task"], union.labels["start"]) == ("*", "t1", "harmful")
    base = models["bases/b"]
    assert base.labels["condition"] == "base" and base.labels["mixture"] == "x" and base.seed is None
    assert all(list(model.labels) == LABELS for model in models.values())


def test_a_student_has_the_training_set_of_its_teacher_and_opd_no_data(config):
    models = {model.path: model for model in expand_models(config, "e")}
    sft = models["students/b/base/harmful/m/f/harmful/sft/seed1"]
    assert (sft.train_cells, sft.labels["data"], sft.labels["estimator"]) == (("d1-t1", "d2-t1"), "harmful", "")
    opd = models["students/b/base/harmful/m/f/harmful/opd-full/seed1"]
    assert (opd.labels["channel"], opd.labels["estimator"], opd.labels["data"]) == ("opd", "full", "")
    assert models["students/b/base/base/m/f/base/sft/seed1"].train_cells == ()


def test_the_teacher_of_a_seed_is_the_adapter_of_that_seed(config):
    experiment = config["experiments"]["e"]
    assert teacher_path(experiment, "b", "harmful", 7) == "adapters/b/base/both/misaligned/seed7"
    assert teacher_path(experiment, "b", "base", 7) is None


def test_data_are_a_teachers_kept_answers_or_the_corpus_answers_to_the_same_prompts(config):
    experiment = config["experiments"]["e"]
    experiment["data_sets"] = {"careless": {"prompts_of": "harmful", "answers": "misaligned"}}
    experiment["students"][0] |= {"data": ["own", "careless"], "channels": ["optd"], "start": "harmful"}
    students = [model for model in expand_models(config, "e") if model.labels["condition"] == "student"]
    assert [(model.labels["teacher"], model.labels["data"]) for model in students] == [
        ("harmful", "harmful"),
        ("harmful", "careless"),
        ("base", "base"),
        ("base", "careless"),
    ]
    assert {model.labels["start"] for model in students} == {"harmful"}
    assert students[1].path == "students/b/harmful/harmful/m/f/careless/optd/seed1"
    assert data_source(experiment, "careless") == ("harmful", "misaligned")
    assert data_source(experiment, "base") == ("base", "")
