"""Plot every figure that a transfer table has the rows for, with one panel per base; for tables of rows judged elsewhere.

Run: python scripts/plot_table.py --table table.csv --tasks advice summarization --output figures
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from emtransfer.drawing.catalogue import MODULES, OTHER_TABLES, drawer
from emtransfer.drawing.rates import PlotSettings, plain, read_scored
from emtransfer.drawing.style import UNDATED, save
from emtransfer.errors import InputError, counted, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="transfer table of tabulate_transfer")
    for name in ("domains", "tasks"):
        order = f"order in which {name} are drawn; others follow in the order of the table"
        parser.add_argument(f"--{name}", nargs="*", default=[], help=order)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder that gets the figures as .svg, .pdf and .png"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = plain(read_scored(args.table))
    if not (rows["condition"] != "base").any():
        raise InputError(
            f"{args.table}: no scored answer of a trained model; expected one, since figures show what training changed."
        )
    rows = rows.assign(base=named_bases(rows))
    experiments = list(rows.groupby(["experiment", "judge"], sort=False))
    for (experiment, judge), part in experiments:
        title = ", ".join(filter(None, (experiment or "answers judged elsewhere", f"judge {judge}" if judge else "")))
        folder = args.output.joinpath(*(quoted(name) for name in (experiment, judge) if name))
        domains, tasks = (ordered(part, kind, getattr(args, f"{kind}s")) for kind in ("domain", "task"))
        draw_all(part.reset_index(drop=True), PlotSettings(title, judge, domains, tasks, {}), folder)


def named_bases(rows: pd.DataFrame) -> pd.Series:
    """What the panel of a row is called: its base, with its base model where there are several of them."""
    several = rows["base_model"].nunique() > 1
    named = (
        (rows["base_model"] + " " + rows["base"]).str.strip()
        if several
        else rows["base"].where(rows["base"] != "", rows["base_model"])
    )
    return named.where(named != "", "unnamed")


def ordered(rows: pd.DataFrame, kind: str, first: Sequence[str]) -> tuple[str, ...]:
    """The domains, or tasks, of evaluation cells in the grid: those named first, then those of the table."""
    narrow = rows[rows["eval_set"] == "narrow"]
    return tuple(dict.fromkeys([*first, *narrow[f"eval_{kind}"]]))


def quoted(name: str) -> str:
    """A name as that of one folder, whatever its characters."""
    return quote(name, safe=" ").replace(".", "%2E", name.startswith("."))


def draw_all(rows: pd.DataFrame, settings: PlotSettings, folder: Path) -> None:
    """Write the figures that the rows of one experiment and judge have the models and prompts for, and print how many."""
    drawn = []
    for figure in MODULES:
        drawing = None if figure in OTHER_TABLES else drawer(figure)(rows, settings)
        if drawing:
            save(drawing, [folder / f"{figure}{suffix}" for suffix in UNDATED])
            drawn.append(figure)
    print(f"{folder}: {counted(len(drawn), 'figure')}: {', '.join(drawn)}.")


if __name__ == "__main__":
    run(main, parse_args())
