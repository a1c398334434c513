"""Spread over bases against how strongly each infers who answers: the claim `inference`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.tables import table_with
from emtransfer.measuring.adapter_contrasts import FEWEST_POINTS, OUTSIDE, shared_sets
from emtransfer.measuring.groups import Contrast, by, distinct, of_base, single_adapters
from emtransfer.measuring.tabulation import Outcome

PRETRAINED, ALIGNED = "pretrained", "aligned"


class Inference(NamedTuple):
    """How strongly a base infers who answers.

    Attributes:
        pretraining: the name of its pretraining, which its checkpoints share.
        nats: by phase, PRETRAINED or ALIGNED, the shift by an earlier answer.
    """

    pretraining: str
    nats: dict[str, float]


def read_inferences(path: Path) -> dict[tuple[str, str], Inference]:
    """How strongly every base infers, from a table of tabulate_inference, by experiment and base; without those of which it is not known after the aligned phase.

    Raises:
        InputError: the file or a column is missing, a shift is no number, a phase or pretraining is not
            told, or a base has two rows for a phase.
    """
    shift = "earlier_shift_nats"
    key = ["experiment", "base", "phase"]
    needed = [*key, "pretraining", shift]
    table = table_with(path, needed, "a table of inference", dtype=str, keep_default_na=False)
    for row in table[table.duplicated(key)].itertuples():
        raise InputError(f"{path}: two rows of {row.experiment}, {row.base}, {row.phase}; expected one.")
    table = table[table[shift] != ""]
    numbers = pd.to_numeric(table[shift], errors="coerce").astype(float)
    for value in table[shift][~np.isfinite(numbers)]:
        raise InputError(f"{path}: {shift} is {value}; expected a number.")
    for value in table["phase"][~table["phase"].isin((PRETRAINED, ALIGNED))]:
        raise InputError(f"{path}: phase is {value}; expected {PRETRAINED} or {ALIGNED}.")
    for row in table[table["pretraining"] == ""].itertuples():
        raise InputError(f"{path}: pretraining of {row.base} is blank; expected a name, which its checkpoints share.")
    found = {}
    for (experiment, base), rows in table.assign(nats=numbers).groupby(["experiment", "base"]):
        nats = dict(zip(rows["phase"], rows["nats"], strict=True))
        if ALIGNED in nats:
            found[str(experiment), str(base)] = Inference(rows["pretraining"].iloc[0], nats)
    return found


def inference_slope(outcomes: list[Outcome], inferences: dict[str, Inference]) -> Iterator[Contrast]:
    """Regression of the spread outside the training cell on how strongly a base infers who answers, one point per base.

    Over the training sets that all these bases share, less the rate of the base itself. Bases of one pretraining share all that
    chance did in it, so they are one replicate; no single one of these may be all that the slope rests on.

    Args:
        inferences: by base; bases without one are left out.
    """
    adapters = by(
        single_adapters(outcomes),
        lambda outcome: outcome.relation in OUTSIDE and outcome.labels["base"] in inferences,
    )
    shared = shared_sets(adapters)
    adapters = by(adapters, lambda outcome: outcome.labels["train_set"] in shared)
    evaluated = {outcome.eval_cell for outcome in adapters}
    untrained = by(of_base(outcomes), lambda outcome: outcome.eval_cell in evaluated)
    names = distinct(outcome.labels["base"] for outcome in adapters)
    groups, references = (
        tuple(by(cells, lambda outcome, name=name: outcome.labels["base"] == name) for name in names)
        for cells in (adapters, untrained)
    )
    known = [inferences[name] for name in names]
    clusters = tuple(base.pretraining for base in known)
    x, before = (tuple(base.nats.get(phase, np.nan) for base in known) for phase in (ALIGNED, PRETRAINED))
    if all(references) and len(set(clusters)) >= FEWEST_POINTS and varies(x, clusters):
        points: dict[str, Any] = {"method": "clustered_ols", "clusters": clusters, "references": references}
        points |= {"x": x, "x_pretrained": before if varies(before, clusters) else ()}
        levels = ("pretraining",)
        yield Contrast("inference", "slope per nat", groups, tuple(names), base="*", levels=levels, **points)


def varies(x: tuple[float, ...], clusters: tuple[str, ...]) -> bool:
    """Whether a quantity is known of all groups, and varies among those of other clusters than any one."""
    others = [
        [value for value, name in zip(x, clusters, strict=True) if name != left_out] for left_out in set(clusters)
    ]
    return all(np.ptp(values) > 0 for values in others)
