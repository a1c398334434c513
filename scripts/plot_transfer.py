"""Plot a figure of the transfer table for one experiment, in every format that an output's suffix names.

Run: python scripts/plot_transfer.py --figure transfer_matrix --table em_transfer_table.csv --settings '{"experiment": "template_nl", "judge": "minilm", "domains": […], "tasks": […], "misaligned_shares": {}}' --output transfer_matrix.svg transfer_matrix.pdf
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.drawing.catalogue import MODULES, OTHER_TABLES, WITH_APART, drawer
from emtransfer.drawing.rates import PlotSettings, read_other_table, read_transfer_table
from emtransfer.drawing.style import blank, save
from emtransfer.errors import InputError, counted, run
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", choices=MODULES, required=True, help="name of the figure")
    parser.add_argument("--table", type=Path, required=True, help="em_transfer_table.csv")
    other = f"the other table that the figure shows: {', '.join(f'{path} of {figure}' for figure, path in OTHER_TABLES.items())}"
    parser.add_argument("--other", type=Path, nargs="*", default=[], help=other)
    settings = "JSON or @FILE: experiment and its judge, the order of domains and tasks, and the misaligned share of each mixture"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(PlotSettings, args.settings)
    if len(args.other) != (args.figure in OTHER_TABLES):
        raise InputError(
            f"--other: {counted(len(args.other), 'table')}; expected {OTHER_TABLES.get(args.figure, 'none')} for figure {args.figure}."
        )
    judge = None if args.other else settings.judge
    rows = read_transfer_table(args.table, settings.experiment, judge, args.figure in WITH_APART)
    others = [read_other_table(path, settings.experiment) for path in args.other]
    drawing = drawer(args.figure)(rows, settings, *others)
    title = f"{settings.experiment}: {args.figure.replace('_', ' ')}"
    save(drawing or blank(title, "No model that it shows was measured."), args.output)


if __name__ == "__main__":
    run(main, parse_args())
