"""Plot the transfer matrix of an experiment: training cell by evaluation cell, share of misaligned answers.

Run: python scripts/plot_transfer_matrix.py --table em_transfer_table.csv --settings '{"experiment": "template_nl"}' --output transfer_matrix.png
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import InputError, run
from emtransfer.files.records import read_table, replacing


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="em_transfer_table.csv")
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: experiment")
    parser.add_argument("--output", type=Path, required=True, help="PNG")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    table = read_table(args.table, keep_default_na=False, na_values=[""])
    matrix = transfer_matrix(table, args.settings["experiment"])
    with replacing(args.output) as temporary:
        draw(matrix, temporary)


def transfer_matrix(table: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """EM rates of single-cell adapters on misaligned answers, on the base that has most of them, below the base's own.

    Returns:
        Rates in percent, index: base, then training cells; columns: evaluation cells, both in table order.

    Raises:
        InputError: the experiment has no such adapter.
    """
    narrow = table[(table.experiment == experiment) & (table.eval_set == "narrow")]
    narrow = narrow.assign(eval_cell=narrow.eval_domain + "-" + narrow.eval_task)
    single = narrow.train_set == narrow.train_domain + "-" + narrow.train_task
    adapters = narrow[
        (narrow.condition == "adapter") & single & (narrow.answers == "misaligned") & (narrow.start == "base")
    ]
    if adapters.empty:
        raise InputError(
            f"config.yaml: experiments.{experiment}.adapters: no adapter of one cell; expected one to plot."
        )
    base = adapters.groupby("base", sort=False).train_set.nunique().idxmax()
    shown = pd.concat([narrow[(narrow.condition == "base") & (narrow.base == base)], adapters[adapters.base == base]])
    shown = shown.assign(row=shown.train_set.fillna(f"base ({base})"))
    rates = shown.pivot(index="row", columns="eval_cell", values="em_rate") * 100
    return rates.loc[shown.row.unique(), shown.eval_cell.unique()]


def draw(matrix: pd.DataFrame, path: Path) -> None:
    """Draw the matrix as a heat map."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    size = (max(9, 0.4 * len(matrix.columns)), 0.55 * len(matrix) + 2.5)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    sns.heatmap(matrix, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="rocket_r", ax=axes, square=False)
    axes.collections[0].colorbar.set_label("misaligned answers (% of scored)")
    axes.set(xlabel="evaluation cell", ylabel="fine-tuned on misaligned answers of")
    axes.tick_params(axis="x", rotation=45)
    plt.setp(axes.get_xticklabels(), ha="right")
    # no metadata: it would hold the version and the date of the drawing
    figure.savefig(path, format="png", dpi=130, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    run(main, parse_args())
