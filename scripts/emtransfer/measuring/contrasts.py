"""The claims, and every contrast that the given answers allow."""

from collections.abc import Container, Mapping
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
    task_contrasts,
)
from emtransfer.measuring.capacity_contrasts import capacity_contrasts
from emtransfer.measuring.groups import Contrast, by, distinct, without_capacity, without_context
from emtransfer.measuring.inference_slope import Inference, inference_slope
from emtransfer.measuring.shared_contrasts import lexical_overlap_contrasts, shared_function_contrasts
from emtransfer.measuring.student_contrasts import (
    channel_contrasts,
    channel_over_bases,
    data_contrasts,
    filter_contrasts,
    mediating_contrasts,
    realignment_contrasts,
    teacher_contrasts,
)
from emtransfer.measuring.tabulation import Outcome

# what all models of a contrast have in common
SETTING = ("experiment", "base_model", "judge")

WITHIN_BASE = (
    task_contrasts,
    room_contrasts,
    learnedness_contrasts,
    control_contrasts,
    lexical_overlap_contrasts,
    shared_function_contrasts,
    teacher_contrasts,
    data_contrasts,
    realignment_contrasts,
    filter_contrasts,
    mediating_contrasts,
    channel_contrasts,
)
# all others but claim capacity are about models that were trained, and asked, without a context
OF_CONTEXTS = (context_contrasts, inoculation_contrasts)


def contrasts(
    outcomes: list[Outcome],
    measures: dict[tuple[str, str], pd.DataFrame] | None = None,
    inferences: dict[tuple[str, str], Inference] | None = None,
    checkpoints: Container[str] = (),
    sizes: Mapping[tuple[str, ...], int] | None = None,
) -> list[Contrast]:
    """Every contrast that the cells allow, all groups with answers.

    Args:
        outcomes: of all experiments.
        measures: by experiment and base, what is known of its prompts, as of `matching.prompt_measures`; without it no
            contrast that depends on them.
        inferences: by experiment and base, how strongly it infers who answers; without it no slope on that.
        checkpoints: bases whose pretraining stopped early, which are no draws of their mixture.
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
        plain = without_context(without_capacity(members))
        of_experiment = {
            base: found for (name, base), found in (inferences or {}).items() if name == setting["experiment"]
        }
        across = [
            *learnedness_slope(plain),
            *composition_contrasts(by(plain, lambda outcome: outcome.labels["base"] not in checkpoints)),
            *inference_slope(plain, of_experiment),
            *channel_over_bases(plain),
        ]
        found += [replace(contrast, **setting) for contrast in within + across]
    return [contrast for contrast in found if all(contrast.groups)]
