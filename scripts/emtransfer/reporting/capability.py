"""The largest loss of capability of an experiment in the report's words."""

import pandas as pd

from emtransfer.drawing.damage import over_all_cells
from emtransfer.errors import counted
from emtransfer.grid.labels import LABELS
from emtransfer.measuring.capability import EVERY, condition
from emtransfer.reporting.wording import percent, points


def in_short(table: pd.DataFrame) -> str:
    """Which condition lost most, where, and how many come with a caution, as sentences.

    Args:
        table: of one experiment, as `drawing.rates.read_other_table` gives it.
    """
    compared = over_all_cells(table).dropna(subset="exact_delta")
    if compared.empty:
        return "Loss of capability was not measured: no trained model has a held-out pair with a neutral version."
    most = compared.sort_values("exact_delta", kind="stable").to_dict("records")[0]
    cautioned = compared[compared["caution"].fillna("") != ""]
    # a share of one condition takes the singular
    agreed = f"{counted(len(compared), 'condition')} {'comes' if len(cautioned) == 1 else 'come'}"
    if most["exact_delta"] >= 0:
        told = "No trained model answers fewer neutral questions exactly than its base."
        but = "But the bases answer too few exactly for this to tell, and "
        if not (compared["base_exact_rate"] > 0).any():
            told, but = "The bases answer no neutral question exactly, so no such answer can be lost.", ""
        if cautioned.empty:
            return told
        worst = cautioned.sort_values("loss_delta_nats", ascending=False, kind="stable").to_dict("records")[0]
        low, high = (f"{worst[f'loss_delta_nats_{end}']:.2f}" for end in ("low", "high"))
        return (
            f"{told} {but}{len(cautioned)} of {agreed} with a"
            f" caution for their loss on these answers, most of all the {condition(worst)}:"
            f" {worst['loss_delta_nats']:.2f} ({low} to {high}) nats per token more than its base. Misalignment may be damage there."
        )
    own = (table[LABELS] == pd.Series({name: most[name] for name in LABELS})).all(axis=1)
    inside = table[own & (table["eval_domain"] != EVERY)].sort_values("exact_delta", kind="stable")
    cell = inside.to_dict("records")[0]
    delta, low, high = (points(100 * most[f"exact_delta{end}"]) for end in ("", "_low", "_high"))
    return (
        f"The largest loss of capability: the {condition(most)} answers {percent(most['exact_rate'])} of neutral questions exactly,"
        f" {percent(most['base_exact_rate'])} before, a difference of {delta} ({low} to {high}) points, and in"
        f" {cell['eval_domain']}-{cell['eval_task']} of {points(100 * cell['exact_delta'])}."
        f" {len(cautioned)} of {agreed} with a caution: where a model lost what has nothing to do with stance, misalignment may be"
        " damage."
    )
