"""Compare the judges of every experiment on the same answers, and say what casts doubt on one of them.

Run: python scripts/compare_judges.py --settings '{"run": ["template_nl"], …}' --results results --agreement agreement.csv --cautions cautions.csv
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import read_records, read_table, write_table
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import without_context
from emtransfer.grid.sections import run_experiments
from emtransfer.judging import cautions
from emtransfer.measuring import agreement
from emtransfer.settings import read_settings
from emtransfer.stances import STANCES
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    settings = (
        "JSON or @FILE: the grid's config keys, em_rule, judges by experiment, cautions unless its defaults apply"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--agreement", type=Path, required=True, help="CSV, a row per ordered pair of judges")
    parser.add_argument("--cautions", type=Path, required=True, help="CSV, a row per experiment and judge")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rule = read_settings(EmRule, args.settings.get("em_rule", {}))
    limits = read_settings(cautions.CautionLimits, args.settings.get("measurable", {}))
    tables, told = [], []
    for experiment in run_experiments(args.settings):
        models = expand_models(args.settings, experiment)
        folder = args.results / experiment / "judged"
        judged = {model.path: read_records(folder / f"{model.path}.jsonl", ("judge", "status")) for model in models}
        verdicts = pd.concat(
            agreement.verdict_frame(without_context(rows), path, rule) for path, rows in judged.items()
        )
        tables.append(agreement.agreement(experiment, verdicts))
        corpus = args.results / "corpora" / args.settings["experiments"][experiment]["corpus"]
        cells = sorted({cell for model in models for cell in model.train_cells})
        unequal = [*cautions.unequal_lengths({cell: mean_words(corpus, cell) for cell in cells}, limits)]
        for judge, of_judge in verdicts.groupby("judge", sort=False):
            calibration = read_table(args.results / "judges" / judge / "calibration.csv")
            doubts = cautions.doubts(of_judge, calibration, rule, limits)
            at_home = cautions.wrong_at_home(calibration, limits)
            found = [*cautions.unbelieved(calibration, limits), *at_home, *doubts, *unequal]
            labelled = cautions.labelled_answers(calibration, limits)
            told.append([experiment, judge, labelled, "; ".join(found)])
    table = pd.DataFrame(told, columns=cautions.COLUMNS)
    write_table(args.agreement, pd.concat(tables)[agreement.COLUMNS])
    write_table(args.cautions, table)
    print("\n".join(cautions.in_words(table)) or "No judge needs a caution.")


def mean_words(corpus: Path, cell: str) -> tuple[float, float]:
    """Mean words of the aligned and of the misaligned answers that a cell is trained on."""
    rows = read_records(corpus / "cells" / cell / "train.jsonl")
    aligned, misaligned = (
        float(np.mean([len(row[f"{answers}_answer"].split()) for row in rows])) for answers in STANCES
    )
    return aligned, misaligned


if __name__ == "__main__":
    run(main, parse_args())
