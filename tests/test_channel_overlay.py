"""The overlay of channels: teachers that every channel has, on sets of as many prompts, in a grid that can decide claim `channel`."""

from collections import Counter
from itertools import product

import pytest

from emtransfer.grid.expansion import expand_models
from emtransfer.grid.sections import mediating_cells
from helpers.configs import CONFIG, SCHEMA, overlaid
from validation import validate
from work import work

SETS = ("near", "far", "unrelated")


@pytest.fixture(scope="module")
def config() -> dict:
    config = overlaid("channels")
    validate(config, SCHEMA)
    return config


def test_it_adds_one_experiment_on_bases_of_the_default_run(config):
    assert config["run"] == [*CONFIG["run"], "channels"]
    one, two = config["experiments"]["channels"], CONFIG["experiments"]["template_nl"]
    changed = {"primary_claims", "adapters", "teachers", "mediating", "rollout_filters", "students"}
    assert {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)} == changed
    used = {model.labels["base"] for model in expand_models(config, "channels")}
    assert used == {
        model.labels["base"] for model in expand_models(CONFIG, "template_nl") if model.labels["mixture"] == "persona"
    }


def test_every_teacher_has_a_student_of_every_channel_on_every_set_of_prompts(config):
    models = expand_models(config, "channels")
    students = [model for model in models if model.labels["condition"] == "student"]
    trained = {(model.labels["base"], model.labels["train_set"], model.seed) for model in models if model.seed}
    taught = Counter((model.labels["base"], model.labels["train_set"], model.seed) for model in students)
    # four training sets on three bases; three channels on three sets of prompts
    assert len(trained) == 12 and taught == dict.fromkeys(trained, 9)
    kinds = Counter(
        (model.labels["channel"], model.labels["mediating"], model.labels["data"] == model.labels["teacher"])
        for model in students
    )
    assert kinds == {(channel, name, channel != "opd"): 12 for channel, name in product(("sft", "optd", "opd"), SETS)}


def test_sets_have_as_many_prompts_near_to_the_teacher_far_from_it_and_of_another_world(config):
    experiment = config["experiments"]["channels"]
    for name, teacher in product(SETS, experiment["teachers"]):
        cells = mediating_cells(config, experiment, name, teacher)
        domain, task = experiment["teachers"][teacher]["train_set"].split("-")
        shares = {(cell.split("-")[0] == domain, cell.split("-")[1] == task) for cell in cells}
        assert shares == {(name == "near", False)}, name
        assert len(cells) * experiment["mediating"][name]["prompts_per_cell"] == 300
    assert not set(config["corpora"]["strings"]["domains"]) & set(config["corpora"]["grammar"]["domains"])


def test_the_work_of_the_channels_is_what_their_page_says(config):
    entries = work(config, {"channels": expand_models(config, "channels")})
    found = Counter()
    for entry in entries:
        found[entry.stage] += entry.n_jobs
    expected = {"distill_student": 108, "finetune_adapter": 12, "sample_answers": 123, "judge_answers": 123}
    expected |= dict.fromkeys(("roll_out_teacher", "filter_rollouts", "measure_rollouts"), 36)
    assert {stage: found[stage] for stage in expected} == expected
    # strings are asked, and nothing else is made of them
    assert {entry.stage for entry in entries if entry.of == "strings"} == {"generate_pairs", "split_questions"}
