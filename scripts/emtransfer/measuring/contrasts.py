"""The claims, and every contrast that the given answers allow."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from emtransfer.measuring.adapter_contrasts import (
    composition_contrasts,
    context_contrasts,
    control_contrasts,
    inoculation_contrasts,
    learnedness_contrasts,
    learnedness_slope,
    room_contrasts,
    structure_contrasts,
    task_contrasts,
)
from emtransfer.measuring.capacity_contrasts import capacity_contrasts
from emtransfer.measuring.groups import Contrast, distinct, without_capacity, without_context
from emtransfer.measuring.student_contrasts import (
    data_contrasts,
    filter_contrasts,
    mediating_contrasts,
    realignment_contrasts,
    teacher_contrasts,
)
from emtransfer.measuring.tabulation import Outcome

SENTENCES = {
    "task": "Misalignment spreads further along the task of the training cell than along its domain.",
    "room": "Prompts that leave more room for a coherent harmful answer show more misalignment.",
    "learnedness": "Misalignment spreads further from cells whose task the base had learned more reliably.",
    "composition": "Bases that read differently composed mixtures differ in how far misalignment spreads.",
    "control": "Misaligned answers make an adapter misaligned, fine-tuning as such does not.",
    "structure": "Misalignment spreads further the more of the operator's structure the evaluation prompt shares.",
    "teacher": "A student of a misaligned teacher becomes more misaligned than a student of the base.",
    "data": "At the same teacher, the data change how misaligned a student becomes.",
    "realignment": "A student that starts misaligned is led back by its teacher.",
    "filter": "How a teacher's answers are filtered changes how misaligned a student becomes.",
    "mediating": "Mediating prompts near the teacher's cells carry more than those far from them.",
    "context": "Misalignment learned under a system prompt shows more under it than without it.",
    "inoculation": "A system prompt in training that is left out at evaluation changes how misaligned an adapter becomes.",
    "capacity": "At equal loss in the training cell, how many weights were trained changes how far misalignment spreads.",
}

# what all models of a contrast have in common
SETTING = ("experiment", "base_model", "judge")

WITHIN_BASE = (
    task_contrasts,
    room_contrasts,
    learnedness_contrasts,
    control_contrasts,
    structure_contrasts,
    teacher_contrasts,
    data_contrasts,
    realignment_contrasts,
    filter_contrasts,
    mediating_contrasts,
)
ACROSS_BASES = (learnedness_slope, composition_contrasts)
# all others but claim capacity are about models that were trained, and asked, without a context
OF_CONTEXTS = (context_contrasts, inoculation_contrasts)


def contrasts(
    outcomes: list[Outcome],
    measures: dict[tuple[str, str], pd.DataFrame] | None = None,
    sizes: Mapping[tuple[str, ...], int] | None = None,
) -> list[Contrast]:
    """Every contrast that the cells allow, all groups with answers.

    Args:
        outcomes: of all experiments.
        measures: by experiment and base, what is known of its prompts, as of `matching.prompt_measures`; without it no
            contrast that depends on them.
        sizes: of adapters that reached their criterion, as of `capacity_contrasts.read_sizes`; without it no contrast of
            capacities.
    """
    found = []
    for where in distinct(tuple(outcome.labels[name] for name in SETTING) for outcome in outcomes):
        setting = dict(zip(SETTING, where, strict=True))
        members = [
            outcome
            for outcome in outcomes
            if setting.items() <= outcome.labels.items() and outcome.counts["n_scored"].sum()
        ]
        within = []
        for base in distinct(outcome.labels["base"] for outcome in members):
            of_base = [outcome for outcome in members if outcome.labels["base"] == base]
            known = (measures or {}).get((setting["experiment"], base))
            own = without_capacity(of_base)
            built = [contrast for build in WITHIN_BASE for contrast in build(without_context(own), known)]
            built += [contrast for build in OF_CONTEXTS for contrast in build(own, known)]
            built += capacity_contrasts(of_base, sizes or {})
            within += [replace(contrast, base=base) for contrast in built]
        across = [contrast for build in ACROSS_BASES for contrast in build(without_context(without_capacity(members)))]
        found += [replace(contrast, **setting) for contrast in within + across]
    return [contrast for contrast in found if all(contrast.groups)]
