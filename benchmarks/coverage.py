"""Simulate the intervals and tests of statistics.py where the truth is known, and print their coverage as a table.

Run: PYTHONPATH=scripts python benchmarks/coverage.py --simulations 2000 --seed 1
"""

import argparse
from itertools import product

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from emtransfer.measuring.statistics import Comparison, compare_rates, delta_p_value, rate_interval

PROMPT_SD_LOGITS = 1.0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000, help="data sets per setting")
    parser.add_argument("--prompts", type=int, nargs="+", default=[40, 120])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10, 20], help="adapters of a condition")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.05, 0.2, 0.5, 0.95])
    parser.add_argument("--seed-sds", type=float, nargs="+", default=[0.0, 0.3, 0.6], help="logits")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    settings = product(args.seeds, args.prompts, args.rates, args.seed_sds)
    table = pd.DataFrame([measure(rng, args.simulations, *setting) for setting in settings])
    print(markdown(extremes(table)), markdown(beside(table)), sep="\n")


def extremes(table: pd.DataFrame) -> pd.DataFrame:
    """The worst of all settings with the same number of seeds, and the mean width."""
    columns = {
        "least coverage": ("coverage", "min"),
        "most coverage": ("coverage", "max"),
        "mean width": ("width", "mean"),
        "mean p < 0.05": ("p < 0.05", "mean"),
        "most p < 0.05": ("p < 0.05", "max"),
    }
    return table.groupby("seeds", as_index=False).agg(**columns)


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """Settings that differ only in the number of prompts beside each other."""
    wide = table.pivot(index=["seeds", "rate", "seed SD"], columns="prompts")
    return wide.set_axis([f"{name}, {prompts}" for name, prompts in wide.columns], axis=1).reset_index()


def measure(
    rng: np.random.Generator, simulations: int, seeds: int, prompts: int, rate: float, seed_sd_logits: float
) -> dict[str, float]:
    """Coverage, width and share of p < 0.05 in one setting, whose data are null: delta is 0 over prompts and seeds."""
    comparison = simulate(rng, simulations, seeds, prompts, rate, seed_sd_logits)
    low, high = rate_interval(comparison.model)
    return {
        "seeds": seeds,
        "prompts": prompts,
        "rate": rate,
        "seed SD": seed_sd_logits,
        "coverage": np.mean((low <= rate) & (rate <= high)),
        "width": np.mean(high - low),
        "p < 0.05": np.mean(delta_p_value(comparison) < 0.05),
    }


def simulate(
    rng: np.random.Generator, simulations: int, seeds: int, prompts: int, rate: float, seed_sd_logits: float
) -> Comparison:
    """Draw one answer per prompt and adapter, with crossed normal effects of both on the logit, and one of the base.

    Args:
        simulations: data sets, the batch.
        rate: event probability of the adapters over prompts and seeds, and of the base over prompts.
        seed_sd_logits: between adapters; between prompts it is PROMPT_SD_LOGITS.
    """
    prompt_effects = rng.normal(0, PROMPT_SD_LOGITS, (simulations, prompts, 1))
    seed_effects = rng.normal(0, seed_sd_logits, (simulations, 1, seeds))
    logits = centre_logits(rate, np.hypot(PROMPT_SD_LOGITS, seed_sd_logits)) + prompt_effects + seed_effects
    base_logits = centre_logits(rate, PROMPT_SD_LOGITS) + prompt_effects
    events, base_events = (rng.random(x.shape) < expit(x) for x in (logits, base_logits))
    return compare_rates(events, np.ones_like(events), base_events, np.ones_like(base_events))


def markdown(table: pd.DataFrame) -> str:
    """The table for docs/statistics.md."""
    rows = [table.columns, ["---"] * table.shape[1], *table.map("{:.3g}".format).to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def centre_logits(rate: float, sd_logits: float) -> float:
    """The logit around which normal effects of `sd_logits` average to an event probability of `rate`."""
    effects = norm.ppf((np.arange(2000) + 0.5) / 2000) * sd_logits
    return brentq(lambda centre: expit(centre + effects).mean() - rate, -20, 20)


if __name__ == "__main__":
    main(parse_args())
