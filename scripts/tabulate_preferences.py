"""Tabulate the preferences of a run's models on held-out pairs, and test the claims about transfer on them.

Run: python scripts/tabulate_preferences.py --preferences results --settings '{"run": ["template_nl"], …}' --table preferences.csv --claims preference_claims.csv --shift-claims shift_claims.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import write_table
from emtransfer.grid.sections import checkpoints_of
from emtransfer.measuring.capacity_contrasts import read_sizes
from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.preferences import (
    preference_contrasts,
    preference_models,
    preference_outcomes,
    tabulate_preferences,
)
from emtransfer.measuring.shift_claims import shift_claims
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--preferences", type=Path, required=True, help="folder that holds {experiment}/preferences/{model}.jsonl"
    )
    parser.add_argument("--losses", type=Path, help="CSV of tabulate_training; without it, no contrast of capacities")
    settings = "JSON or @FILE: the grid's config keys, measurable unless its defaults apply, primary_claims by experiment, where it names any"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--table", type=Path, required=True, help="CSV, a row per model condition and evaluation cell")
    parser.add_argument("--claims", type=Path, required=True, help="CSV, a row per contrast with its verdict")
    shifts = "CSV, a row per contrast with its verdict by shifts in nats per token"
    parser.add_argument("--shift-claims", type=Path, required=True, help=shifts)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    models = list(preference_models(args.preferences, args.settings))
    cells = preference_outcomes(models)
    sizes = read_sizes(args.losses) if args.losses else None
    measurable = read_settings(MeasurableSettings, args.settings.get("measurable", {}))
    contrasts = preference_contrasts(cells, checkpoints_of(args.settings), sizes)
    primary = args.settings.get("primary_claims")
    _, claims, _ = measure_contrasts(contrasts, outcomes=cells, measurable=measurable, primary_claims=primary)
    table = tabulate_preferences(models)
    write_table(args.table, table)
    write_table(args.claims, claims)
    write_table(args.shift_claims, shift_claims(contrasts, measurable, primary))
    print(f"{counted(len(table), 'row')} from {counted(table['n_pairs'].sum(), 'pair')}, each measured on one model.")


if __name__ == "__main__":
    run(main, parse_args())
