"""Tabulate how many of every teacher's answers are kept, and how far those are from answers of its base.

Run: python scripts/tabulate_rollouts.py --settings '{"run": ["template_nl"], …}' --results results --output rollouts.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import write_table
from emtransfer.measuring.kept_answers import tabulate_kept


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the config sections that make the grid"
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--output", type=Path, required=True, help="CSV, a row per set of kept answers")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    table = tabulate_kept(args.results, args.settings)
    write_table(args.output, table)
    print(f"{counted(len(table), 'set')} of kept answers.")


if __name__ == "__main__":
    run(main, parse_args())
