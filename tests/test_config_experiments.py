"""An experiment whose models cannot be trained from each other is one line: bases, teachers, and the prompts that students learn from."""

import copy
import re

import pytest

from emtransfer.errors import InputError
from helpers.configs import CONFIG, SCHEMA, line_for, line_of
from validation import validate

TEMPLATE_NL = ("experiments", "template_nl")


def test_a_base_of_another_base_model_is_refused():
    config = copy.deepcopy(CONFIG)
    config["base_models"]["other"] = config["base_models"]["decoder"]
    config["bases"]["foreign"] = config["bases"]["persona"] | {"base_model": "other"}
    validate(config, SCHEMA)
    config["experiments"]["template_nl"]["students"][0]["base"] = "foreign"
    with pytest.raises(InputError, match=r'students\[0\].base is "foreign"; expected one of '):
        validate(config, SCHEMA)


def test_mediating_cells_by_relation_are_those_that_every_teacher_has():
    place = ("experiments", "template_nl", "mediating", "everywhere", "cells")
    expected = "a relation that cells have to the training set of {}, whose answers students learn from."
    # students of the base learn from its own answers, and it has no training set
    line = 'config.yaml: experiments.template_nl.mediating.everywhere.cells is "same_domain"; expected '
    assert line_for(place, "same_domain") == line + expected.format("base")
    config = copy.deepcopy(CONFIG)
    experiment = config["experiments"]["template_nl"]
    experiment["students"] = [student | {"teachers": ["harmful"]} for student in experiment["students"]]
    experiment["mediating"]["everywhere"]["cells"] = "same_domain"
    validate(copy.deepcopy(config), SCHEMA)
    experiment["train_sets"]["finance"] = [f"finance-{task}" for task in config["corpora"]["grammar"]["tasks"]]
    experiment["teachers"]["harmful"]["train_set"] = "finance"
    assert line_of(config, place, "same_domain") == line + expected.format("harmful")


@pytest.mark.parametrize("starts", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}])
def test_teachers_that_start_from_each_other_are_one_line(starts):
    """Nobody could train the first of them."""
    harmful = CONFIG["experiments"]["template_nl"]["teachers"]["harmful"]
    teachers = {name: harmful | {"start": start} for name, start in starts.items()} | {"base": {}, "harmful": harmful}
    line = line_for((*TEMPLATE_NL, "teachers"), teachers)
    assert re.fullmatch(
        r'config\.yaml: experiments\.template_nl\.teachers\.\w\.start is "\w"; expected base, or a teacher whose own start leads to base\.',
        line,
    )


@pytest.mark.parametrize("name", ["own", "base"])
def test_a_teacher_has_no_name_that_means_another(name):
    harmful = CONFIG["experiments"]["template_nl"]["teachers"]["harmful"]
    line = line_for((*TEMPLATE_NL, "teachers"), {"harmful": harmful, "base": {}} | {name: harmful})
    assert line.startswith(
        f"config.yaml: experiments.template_nl.teachers.{name} is a name that is taken; expected another"
    )
