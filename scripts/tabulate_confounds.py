"""Tabulate how the training cells of the corpora differ besides domain and task.

Run: python scripts/tabulate_confounds.py --corpora results/corpora --settings '{"grammar": ["medical-advice", …]}' --output confounds.csv
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import write_table
from emtransfer.measuring.confounds import COLUMNS, confounds


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--corpora", type=Path, required=True, help="folder that holds {corpus}/filtered, deduped, cells"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: corpus -> cells")
    parser.add_argument("--output", type=Path, required=True, help="CSV, a row per corpus and cell")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    tables = [confounds(corpus, args.corpora / corpus, cells) for corpus, cells in args.settings.items()]
    # a run may have only models of others, whose training data are unknown
    table = pd.concat(tables) if tables else pd.DataFrame(columns=COLUMNS)
    write_table(args.output, table)
    print(table.to_string(index=False) if tables else "no confounds: no model of the run has training cells.")


if __name__ == "__main__":
    run(main, parse_args())
