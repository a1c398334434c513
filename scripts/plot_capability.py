"""Plot how capability and misalignment of an experiment's models changed, in every format that an output's suffix names.

Run: python scripts/plot_capability.py --experiment template_nl --judge minilm --table em_transfer_table.csv --capability capability.csv --output capability.svg
"""

import argparse
from pathlib import Path

from emtransfer.drawing.damage import capability
from emtransfer.drawing.rates import read_other_table, read_transfer_table
from emtransfer.drawing.style import save
from emtransfer.errors import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--judge", required=True, help="name of the judge whose verdicts are plotted")
    parser.add_argument("--table", type=Path, required=True, help="em_transfer_table.csv")
    parser.add_argument("--capability", type=Path, required=True, help="CSV of tabulate_capability")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = read_transfer_table(args.table, args.experiment, args.judge)
    save(capability(rows, read_other_table(args.capability, args.experiment), args.experiment), args.output)


if __name__ == "__main__":
    run(main, parse_args())
