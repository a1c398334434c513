"""Tabulate the judged answers of all experiments of a run, or of rows judged elsewhere, into one transfer table.

Run: python scripts/tabulate_transfer.py --judged results --settings '{"run": ["template_nl"], …}' --output table.csv
Run: python scripts/tabulate_transfer.py --rows rows.csv.gz --settings '{"em_rule": {…}}' --output table.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import write_table
from emtransfer.judging.cautions import read_cautions, with_cautions
from emtransfer.measuring.imported_rows import read_imported
from emtransfer.measuring.judged_rows import judged_models
from emtransfer.measuring.tabulation import tabulate_transfer
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--judged", type=Path, help="folder that holds {experiment}/judged/{model}.jsonl")
    source.add_argument(
        "--rows", type=Path, help="rows judged elsewhere: .jsonl, .csv, .csv.gz or .parquet, or a folder of .jsonl"
    )
    parser.add_argument("--cautions", type=Path, help="CSV of compare_judges; without it, no row has a caution")
    columns = 'JSON or @FILE: with --rows, field -> the column that holds it, or {"value": …} for all rows'
    parser.add_argument("--columns", type=json_argument, help=columns)
    settings = "JSON or @FILE: em_rule; with --judged also the grid's config keys, and judges by experiment"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--output", type=Path, required=True, help="CSV, a row per model condition and evaluation cell")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    judged = read_imported(args.rows, args.columns) if args.rows else judged_models(args.judged, args.settings)
    table = tabulate_transfer(judged, read_settings(EmRule, args.settings.get("em_rule", {})))
    write_table(args.output, with_cautions(table, read_cautions(args.cautions)) if args.cautions else table)
    print(
        f"{counted(len(table), 'row')} from {counted(table['n_answers'].sum(), 'answer')}, {table['n_scored'].sum()} scored."
    )


if __name__ == "__main__":
    run(main, parse_args())
