"""Test the claims about transfer on judged answers: effects with intervals, verdicts, and what could have been found.

Run: python scripts/test_claims.py --judged results --settings '{"run": ["template_nl"], …}' --effects effects.csv --claims claims.csv --power power.csv
Run: python scripts/test_claims.py --rows rows.csv.gz --settings '{"em_rule": {…}}' --effects … --claims … --power …
"""

import argparse
import json
from pathlib import Path

from emtransfer.claims import measure_contrasts
from emtransfer.contrasts import contrasts
from emtransfer.errors import run
from emtransfer.judged_rows import judged_models, read_imported
from emtransfer.records import write_table
from emtransfer.tabulation import condition_cells
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--judged", type=Path, help="folder that holds {experiment}/judged/{model}.jsonl")
    source.add_argument("--rows", type=Path, help="rows judged elsewhere: .jsonl, .csv, .csv.gz or .parquet")
    settings = "JSON: em_rule; with --judged also the grid's config keys, and judges by experiment"
    parser.add_argument("--settings", type=json.loads, required=True, help=settings)
    parser.add_argument("--effects", type=Path, required=True, help="CSV, a row per contrast and subset of answers")
    parser.add_argument("--claims", type=Path, required=True, help="CSV, a row per contrast with its verdict")
    parser.add_argument(
        "--power", type=Path, required=True, help="CSV, the smallest difference each contrast could find"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    judged = read_imported(args.rows) if args.rows else judged_models(args.judged, args.settings)
    cells = condition_cells(judged, EmRule(**args.settings["em_rule"]))
    effects, claims, power = measure_contrasts(contrasts(cells))
    write_table(args.effects, effects)
    write_table(args.power, power)
    write_table(args.claims, claims)
    print(claims[["claim", "contrast", "experiment", "base", "verdict"]].to_string(index=False))


if __name__ == "__main__":
    run(main, parse_args())
