"""Simulate the contrasts behind the claims where the truth is known, and print coverage and false positives as a table.

Run: PYTHONPATH=scripts python benchmarks/claims.py --simulations 2000 --seed 1
"""

import argparse
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit

from emtransfer.measuring.replicates import combination_margin, combination_p_value, combine_rates
from emtransfer.measuring.statistics import contrast_rates, delta_interval, delta_p_value

PROMPT_SD_LOGITS = 1.0
GRID = np.array(list(product(range(3), range(4))))
# weights of [teacher a, teacher b] x [data c, data d], and of the steps of shared structure
STEPS = np.arange(5) - 2
WEIGHTS = {
    "factorial, main effect": np.array([0.5, 0.5, -0.5, -0.5]),
    "factorial, interaction": np.array([1.0, -1.0, -1.0, 1.0]),
    "structure": STEPS / (STEPS**2).sum() * 4,
}
CONTRASTS = ["task", *WEIGHTS, "composition"]
ANSWERS = 2
BATCH = 50


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000, help="data sets per setting")
    parser.add_argument("--contrasts", nargs="+", choices=CONTRASTS, default=CONTRASTS, help="what is simulated")
    parser.add_argument("--prompts", type=int, default=40, help="of each of the 12 evaluation cells")
    parser.add_argument("--train-cells", type=int, nargs="+", default=[12, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 10], help="adapters of a training cell")
    parser.add_argument("--families", type=int, nargs="+", default=[4, 8], help="training sets of the slope")
    parser.add_argument("--bases", type=int, nargs="+", default=[2, 3, 10], help="of a mixture")
    parser.add_argument("--logits", type=float, nargs="+", default=[-3.3, -1.5, 0.0, 3.3], help="of the shared rate")
    parser.add_argument("--seed-sds", type=float, nargs="+", default=[0.0, 0.6], help="logits")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    rates = list(product(args.logits, args.seed_sds))
    if "task" in args.contrasts:
        tasks = [
            measure(rng, args.simulations, args.prompts, cells, seeds, *rate)
            for cells, seeds, rate in product(args.train_cells, args.seeds, rates)
        ]
        print_tables(pd.DataFrame(tasks), ["training cells", "seeds"])
    units = {name: args.families if name == "structure" else args.seeds for name in WEIGHTS} | {
        "composition": args.bases
    }
    others = [
        measure_shared(rng, args.simulations, args.prompts, name, n_units, *rate)
        for name in units
        if name in args.contrasts
        for n_units, rate in product(units[name], rates)
    ]
    if others:
        print_tables(pd.DataFrame(others), ["contrast", "units"])


def print_tables(table: pd.DataFrame, by: list[str]) -> None:
    """The extremes over settings alike in `by`, and every setting."""
    columns = {
        "least coverage": ("coverage", "min"),
        "most coverage": ("coverage", "max"),
        "mean width": ("width", "mean"),
        "most p < 0.05": ("p < 0.05", "max"),
    }
    extremes = table.groupby(by, as_index=False).agg(**columns)
    for shown in (extremes, table):
        print(shown.to_markdown(index=False, floatfmt=".3g"), end="\n\n")


def measure(
    rng: np.random.Generator, simulations: int, prompts: int, cells: int, seeds: int, logit: float, seed_sd: float
) -> dict[str, float]:
    """Coverage, width and share of p < 0.05 of same task - same domain, when neither makes a difference."""
    # cells of the diagonal first, so that two training cells share neither domain nor task
    trained = np.repeat(GRID[np.argsort((GRID[:, 0] - GRID[:, 1]) % 4, kind="stable")][:cells], seeds, axis=0)
    asked = np.repeat(GRID, prompts, axis=0)
    shared = asked[:, None] == trained[None]
    same_task, same_domain = (shared[..., 1] & ~shared[..., 0]), (shared[..., 0] & ~shared[..., 1])
    batches = []
    for size in batch_sizes(simulations):
        asked_effects = rng.normal(0, PROMPT_SD_LOGITS, (size, len(asked), 1))
        effects = asked_effects + rng.normal(0, seed_sd, (size, 1, len(trained)))
        events = rng.random(effects.shape) < expit(logit + effects)
        one, other = (np.broadcast_to(side, events.shape) for side in (same_task, same_domain))
        comparison = contrast_rates(events & one, one, events & other, other)
        batches.append([*delta_interval(comparison), delta_p_value(comparison)])
    shares = coverage(*np.concatenate(batches, axis=1))
    return {"training cells": cells, "seeds": seeds, "logit": logit, "seed SD": seed_sd} | shares


def batch_sizes(simulations: int) -> list[int]:
    """Sizes of the batches that make up so many data sets."""
    return [min(BATCH, simulations - done) for done in range(0, simulations, BATCH)]


def coverage(low: np.ndarray, high: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """How often intervals hold the true difference of 0, their width, and how often p claims one."""
    return {
        "coverage": np.mean((low <= 0) & (high >= 0)),
        "width": np.mean(high - low),
        "p < 0.05": np.mean(p < 0.05),
    }


def measure_shared(
    rng: np.random.Generator, simulations: int, prompts: int, name: str, units: int, logit: float, seed_sd: float
) -> dict[str, float]:
    """The same of contrasts whose replicates are seeds, training sets or bases, the SD being that of these."""
    draw = {"composition": draw_mixtures, "structure": draw_structure}.get(name, draw_factorial)
    batches = []
    for size in batch_sizes(simulations):
        events, answers = draw(rng, (size, prompts, units), logit, seed_sd)
        if name == "composition":
            comparison = contrast_rates(events[:, 0], answers[:, 0], events[:, 1], answers[:, 1])
            batches.append([*delta_interval(comparison), delta_p_value(comparison)])
        else:
            found = combine_rates(events, answers, WEIGHTS[name])
            margin = combination_margin(found)
            batches.append([found.estimate - margin, found.estimate + margin, combination_p_value(found)])
    shares = coverage(*np.concatenate(batches, axis=1))
    return {"contrast": name, "units": units, "logit": logit, "seed SD": seed_sd} | shares


def draw_factorial(
    rng: np.random.Generator, shape: tuple[int, int, int], logit: float, seed_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Students of four conditions, one per seed, asked the same prompts of 12 cells once.

    Args:
        shape: simulations, prompts per cell, units.

    Returns:
        Events and answers [simulations, groups, prompts, units].
    """
    size, prompts, units = shape
    asked = rng.normal(0, PROMPT_SD_LOGITS, (size, 1, len(GRID) * prompts, 1))
    students = rng.normal(0, seed_sd, (size, 4, 1, units))
    events = rng.random((size, 4, len(GRID) * prompts, units)) < expit(logit + asked + students)
    return events, np.ones(events.shape)


def draw_structure(
    rng: np.random.Generator, shape: tuple[int, int, int], logit: float, seed_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Training sets, each asked the prompts of its own family only, those of the five steps by two seeds."""
    size, prompts, units = shape
    effects = rng.normal(0, PROMPT_SD_LOGITS, (size, 5, units, prompts)) + rng.normal(0, seed_sd, (size, 5, units, 1))
    drawn = rng.binomial(ANSWERS, expit(logit + effects))
    events, answers = np.zeros((2, size, 5, units, 5, prompts, units))
    for step, unit in product(range(5), range(units)):
        events[:, step, unit, step, :, unit] = drawn[:, step, unit]
        answers[:, step, unit, step, :, unit] = ANSWERS
    return events.reshape(size, 5, -1, units), answers.reshape(size, 5, -1, units)


def draw_mixtures(
    rng: np.random.Generator, shape: tuple[int, int, int], logit: float, seed_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bases of two mixtures, all asked the same prompts of 12 cells, by two adapters each."""
    size, prompts, units = shape
    asked = rng.normal(0, PROMPT_SD_LOGITS, (size, 1, len(GRID) * prompts, 1))
    bases = rng.normal(0, seed_sd, (size, 2, 1, 2 * units))
    events = rng.binomial(ANSWERS, expit(logit + asked + bases))
    answers = np.zeros(events.shape)
    answers[:, 0, :, :units], answers[:, 1, :, units:] = ANSWERS, ANSWERS
    return np.where(answers > 0, events, 0), answers


if __name__ == "__main__":
    main(parse_args())
