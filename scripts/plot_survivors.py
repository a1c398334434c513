"""Plot the rows that each stage of a corpus leaves, in every format that an output's suffix names.

Run: python scripts/plot_survivors.py --corpus results/corpora/grammar --settings '{"domains": […], "tasks": […]}' --output survivors.svg
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.drawing.corpora import CellCounts, survivors
from emtransfer.drawing.style import save
from emtransfer.errors import run
from emtransfer.files.records import read_table
from emtransfer.grid.sections import training_cells


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus's stages")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: domains, tasks, held_out_domains"
    )
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    cells = [read_cell(args.corpus, cell) for cell in training_cells(args.settings)]
    save(survivors(cells, args.corpus.name), args.output)


def read_cell(corpus: Path, cell: str) -> CellCounts:
    """The counts of a cell from the files of its stages."""
    raw, filtered = (read_table(corpus / stage / f"{cell}.counts.csv").iloc[0] for stage in ("raw", "filtered"))
    domain, task = cell.split("-")
    rows = int(raw["rows_out"]), int(filtered["rows_in"]), int(filtered["rows_out"])
    return CellCounts(domain, task, *rows, read_table(corpus / "deduped" / f"{cell}.survivors.csv"))


if __name__ == "__main__":
    run(main, parse_args())
