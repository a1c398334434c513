"""Plot domain × task maps of aligned and misaligned answers, before and after fine-tuning on misaligned answers.

Run: python scripts/plot_rate_maps.py --table em_transfer_table.csv --settings '{"experiment": "symbolic"}' --output rate_maps.png
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import InputError, run
from emtransfer.files.records import read_table, replacing

STAGES = ("before", "after")
RATES = ("aligned", "misaligned")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="em_transfer_table.csv")
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: experiment")
    parser.add_argument("--output", type=Path, required=True, help="PNG")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    table = read_table(args.table, keep_default_na=False, na_values=[""])
    rates = before_and_after(table, args.settings["experiment"])
    with replacing(args.output) as temporary:
        draw(rates, temporary)


def before_and_after(table: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """Rates of every base and of its adapter on the training cell that most bases have, the first in the table if tied.

    Returns:
        One row per base, stage and evaluation cell: base, stage, train_set, eval_domain, eval_task and, in percent of
        the scored answers, aligned (coherent and not misaligned) and misaligned.

    Raises:
        InputError: the experiment has no such adapter.
    """
    narrow = table[(table.experiment == experiment) & (table.eval_set == "narrow")]
    single = narrow.train_set == narrow.train_domain + "-" + narrow.train_task
    adapters = narrow[
        (narrow.condition == "adapter") & single & (narrow.answers == "misaligned") & (narrow.start == "base")
    ]
    if adapters.empty:
        raise InputError(
            f"config.yaml: experiments.{experiment}.adapters: no adapter of one cell; expected one to plot."
        )
    shown = adapters.groupby("train_set", sort=False).base.nunique().idxmax()
    adapters = adapters[adapters.train_set == shown]
    bases = narrow[(narrow.condition == "base") & narrow.base.isin(adapters.base)]
    rates = pd.concat([bases.assign(stage="before"), adapters.assign(stage="after")]).assign(train_set=shown)
    rates = rates.assign(
        aligned=100 * (rates.n_coherent - rates.n_misaligned) / rates.n_scored,
        misaligned=100 * rates.n_misaligned / rates.n_scored,
    )
    return rates[["base", "stage", "train_set", "eval_domain", "eval_task", *RATES]].reset_index(drop=True)


def draw(rates: pd.DataFrame, path: Path) -> None:
    """Draw a row of four maps per base."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    bases, domains, tasks = rates.base.unique(), rates.eval_domain.unique(), rates.eval_task.unique()
    size = (1 + 4 * max(2.2, 0.55 * len(tasks)), len(bases) * (1.6 + 0.32 * len(domains)))
    figure, grid = plt.subplots(len(bases), 4, figsize=size, squeeze=False, layout="constrained", sharey=True)
    for base, row in zip(bases, grid, strict=True):
        panels = [(rate, stage) for rate in RATES for stage in STAGES]
        for (rate, stage), axes in zip(panels, row, strict=True):
            part = rates[(rates.base == base) & (rates.stage == stage)]
            matrix = part.pivot(index="eval_domain", columns="eval_task", values=rate).loc[domains, tasks]
            sns.heatmap(matrix, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="rocket_r", cbar=False, ax=axes)
            axes.set(title=f"{rate} %, {stage}", xlabel="", ylabel=base if axes is row[0] else "")
            axes.tick_params(axis="x", rotation=45)
            plt.setp(axes.get_xticklabels(), ha="right")
    figure.suptitle(f"fine-tuned on misaligned answers of {rates.train_set.iloc[0]}")
    # no metadata: it would hold the version and the date of the drawing
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    run(main, parse_args())
