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

FORMATS = tuple(suffix.removeprefix(".") for suffix in UNDATED)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="transfer table of tabulate_transfer")
    for name in ("domains", "tasks"):
        order = f"order in which {name} are drawn; others follow by name"
        parser.add_argument(f"--{name}", nargs="*", default=[], help=order)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder that gets the figures as .svg, .pdf and .png"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    scored = read_scored(args.table)
    rows = plain(scored)
    if len(rows) < len(scored):
        print(f"{counted(len(scored) - len(rows), 'row')} with a context or a capacity: no figure shows them.")
    if not (rows["condition"] != "base").any():
        raise InputError(
            f"{args.table}: no scored answer of a trained model without a context or capacity; expected one, as figures show what training changes."
        )
    for kind in ("domain", "task"):
        refuse_unknown(rows, kind, getattr(args, f"{kind}s"))
    rows = rows.assign(base=named_bases(rows))
    levels = [name for name in ("experiment", "judge") if (rows[name] != "").any()]
    drawn = []
    for names, part in rows.groupby(levels, sort=False) if levels else [((), rows)]:
        experiment, judge = part["experiment"].iloc[0], part["judge"].iloc[0]
        title = ", ".join(filter(None, (experiment or "answers judged elsewhere", f"judge {judge}" if judge else "")))
        domains, tasks = (ordered(part, kind, getattr(args, f"{kind}s")) for kind in ("domain", "task"))
        settings = PlotSettings(title, judge, domains, tasks, {})
        drawn += draw_all(part.reset_index(drop=True), settings, args.output.joinpath(*map(quoted, names)))
    remove_others(args.output, drawn)


def refuse_unknown(rows: pd.DataFrame, kind: str, names: Sequence[str]) -> None:
    """Raise an InputError for a name that no evaluation cell of the grid has."""
    known = sorted({*rows[rows["eval_set"] == "narrow"][f"eval_{kind}"]})
    for name in names:
        if name not in known:
            raise InputError(f"--{kind}s: no cell has {kind} {name}; expected one of {', '.join(known)}.")


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
    """The domains, or tasks, of evaluation cells in the grid: those named first, then the others by name."""
    found = {*rows[rows["eval_set"] == "narrow"][f"eval_{kind}"]}
    return (*dict.fromkeys(name for name in first if name in found), *sorted(found.difference(first)))


def quoted(name: str) -> str:
    """A name as that of one folder, whatever its characters; no other name gives the same."""
    return quote(name, safe=" ").replace(".", "%2E", name.startswith(".")) or "(none)"


def draw_all(rows: pd.DataFrame, settings: PlotSettings, folder: Path) -> list[Path]:
    """Write the figures that the rows of one experiment and judge have the models and prompts for; say which, and return their paths."""
    drawings = {figure: drawer(figure)(rows, settings) for figure in MODULES if figure not in OTHER_TABLES}
    shown = [figure for figure, drawing in drawings.items() if drawing]
    paths = []
    for figure in shown:
        of_figure = [folder / f"{figure}{suffix}" for suffix in UNDATED]
        save(drawings[figure], of_figure)
        paths += of_figure
    why = "no adapter on misaligned answers and no student is among its models"
    print(f"{folder}: {', '.join(shown)}." if shown else f"{settings.experiment}: no figure, since {why}.")
    return paths


def remove_others(folder: Path, drawn: Sequence[Path]) -> None:
    """Remove figures of an earlier table, with their hashes."""
    kept = {*drawn, *(path.with_name(f"{path.name}.sha256") for path in drawn)}
    for figure in MODULES:
        for path in folder.rglob(f"{figure}.*"):
            if path not in kept and path.name.removeprefix(f"{figure}.").removesuffix(".sha256") in FORMATS:
                path.unlink()


if __name__ == "__main__":
    run(main, parse_args())
