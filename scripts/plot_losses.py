"""Plot the losses of all models of an experiment, in every format that an output's suffix names.

Run: python scripts/plot_losses.py --settings '{…}' --results results --output losses.svg
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.drawing.losses import Trained, loss_curves
from emtransfer.drawing.style import save
from emtransfer.errors import run
from emtransfer.files.artefacts import MANIFEST, checked_file
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.sections import run_experiments


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    settings = "JSON or @FILE: the config sections that make the grid of one experiment"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    (experiment,) = run_experiments(args.settings)
    trained = []
    for model in expand_models(args.settings, experiment):
        folder = args.results / (f"{model.path}/aligned" if model.seed is None else f"{experiment}/{model.path}")
        path = checked_file(folder / MANIFEST, "training_log.csv")
        if path:
            trained.append(Trained(model, pd.read_csv(path)))
    save(loss_curves(trained, experiment), args.output)


if __name__ == "__main__":
    run(main, parse_args())
