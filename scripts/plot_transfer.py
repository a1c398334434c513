"""Plot a figure of the transfer table for one experiment, in every format that an output's suffix names.

Run: python scripts/plot_transfer.py --figure transfer_matrix --table em_transfer_table.csv --settings '{"experiment": "template_nl", "judge": "minilm", "domains": […], "tasks": […], "misaligned_shares": {}}' --output transfer_matrix.svg transfer_matrix.pdf
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.drawing.catalogue import MODULES, drawer
from emtransfer.drawing.rates import PlotSettings, read_transfer_table
from emtransfer.drawing.style import blank, save
from emtransfer.errors import run
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", choices=MODULES, required=True, help="name of the figure")
    parser.add_argument("--table", type=Path, required=True, help="em_transfer_table.csv")
    settings = "JSON or @FILE: experiment and its judge, the order of domains and tasks, and the misaligned share of each mixture"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(PlotSettings, args.settings)
    rows = read_transfer_table(args.table, settings.experiment, settings.judge)
    drawing = drawer(args.figure)(rows, settings)
    title = f"{settings.experiment}: {args.figure.replace('_', ' ')}"
    save(drawing or blank(title, "No model that it shows has a scored answer."), args.output)


if __name__ == "__main__":
    run(main, parse_args())
