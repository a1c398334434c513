"""Compare two runs, or two experiments of one run: rates and verdicts that differ, and whether by more than chance.

Run: python scripts/compare_runs.py --a results --b runs/rank8/results --output results/comparison
Run: python scripts/compare_runs.py --a results:template_nl --b results:template_rank8 --output results/comparison
"""

import argparse
from pathlib import Path

from emtransfer.errors import run
from emtransfer.files.records import write_table
from emtransfer.measuring.comparing import compare_claims, compare_rows, read_side, told_apart_by
from emtransfer.reporting.comparison import summary


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    side = "folder of results or a transfer table, to which :EXPERIMENT may be appended"
    parser.add_argument("--a", required=True, help=side)
    parser.add_argument("--b", required=True, help=f"{side}; differences are B - A")
    parser.add_argument("--output", type=Path, required=True, help="folder for rows.csv and claims.csv")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    a, b = read_side(args.a), read_side(args.b)
    rows, claims = compare_rows(a, b), compare_claims(a, b)
    write_table(args.output / "rows.csv", rows)
    if claims is not None:
        write_table(args.output / "claims.csv", claims)
    print(summary(args.a, args.b, rows, claims, told_apart_by(a, b)))


if __name__ == "__main__":
    run(main, parse_args())
