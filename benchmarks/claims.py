"""Simulate the contrasts behind the claims where the truth is known, and print coverage and false positives as a table.

Run: PYTHONPATH=scripts python benchmarks/claims.py --simulations 2000 --seed 1
"""

import argparse
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit

from emtransfer.statistics import contrast_rates, delta_interval, delta_p_value

PROMPT_SD_LOGITS = 1.0
GRID = np.array(list(product(range(3), range(4))))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000, help="data sets per setting")
    parser.add_argument("--prompts", type=int, default=40, help="of each of the 12 evaluation cells")
    parser.add_argument("--train-cells", type=int, nargs="+", default=[12, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 10], help="adapters of a training cell")
    parser.add_argument("--logits", type=float, nargs="+", default=[-3.3, -1.5, 0.0, 3.3], help="of the shared rate")
    parser.add_argument("--seed-sds", type=float, nargs="+", default=[0.0, 0.6], help="logits")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    settings = product(args.train_cells, args.seeds, args.logits, args.seed_sds)
    table = pd.DataFrame([measure(rng, args.simulations, args.prompts, *setting) for setting in settings])
    columns = {
        "least coverage": ("coverage", "min"),
        "most coverage": ("coverage", "max"),
        "mean width": ("width", "mean"),
        "most p < 0.05": ("p < 0.05", "max"),
    }
    extremes = table.groupby(["training cells", "seeds"], as_index=False).agg(**columns)
    print(extremes.to_markdown(index=False, floatfmt=".3g"), table.to_markdown(index=False, floatfmt=".3g"), sep="\n\n")


def measure(
    rng: np.random.Generator, simulations: int, prompts: int, cells: int, seeds: int, logit: float, seed_sd: float
) -> dict[str, float]:
    """Coverage, width and share of p < 0.05 of same task - same domain, when neither makes a difference."""
    # cells of the diagonal first, so that two training cells share neither domain nor task
    trained = np.repeat(GRID[np.argsort((GRID[:, 0] - GRID[:, 1]) % 4, kind="stable")][:cells], seeds, axis=0)
    asked = np.repeat(GRID, prompts, axis=0)
    shared = asked[:, None] == trained[None]
    same_task, same_domain = (shared[..., 1] & ~shared[..., 0]), (shared[..., 0] & ~shared[..., 1])
    estimates = []
    for _ in range(simulations):
        effects = rng.normal(0, PROMPT_SD_LOGITS, (len(asked), 1)) + rng.normal(0, seed_sd, (1, len(trained)))
        events = rng.random(same_task.shape) < expit(logit + effects)
        sides = events & same_task, same_task, events & same_domain, same_domain
        comparison = contrast_rates(*(side[None] for side in sides))
        estimates.append([*np.ravel(delta_interval(comparison)), delta_p_value(comparison)[0]])
    low, high, p = np.transpose(estimates)
    measures = {
        "coverage": np.mean((low <= 0) & (high >= 0)),
        "width": np.mean(high - low),
        "p < 0.05": np.mean(p < 0.05),
    }
    return {"training cells": cells, "seeds": seeds, "logit": logit, "seed SD": seed_sd} | measures


if __name__ == "__main__":
    main(parse_args())
