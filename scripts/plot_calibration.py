"""Plot the calibration of a judge, in every format that an output's suffix names.

Run: python scripts/plot_calibration.py --judge minilm --calibration calibration.csv --output calibration.svg
"""

import argparse
from pathlib import Path

from emtransfer.drawing.judges import calibration
from emtransfer.drawing.style import save
from emtransfer.errors import run
from emtransfer.files.records import read_table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", required=True, help="name of the judge")
    parser.add_argument("--calibration", type=Path, required=True, help="CSV of calibrate_judge")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    save(calibration(read_table(args.calibration), args.judge), args.output)


if __name__ == "__main__":
    run(main, parse_args())
