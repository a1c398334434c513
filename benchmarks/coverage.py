"""Simulate the intervals and tests of statistics.py where the truth is known, and print their coverage as a table.

Run: PYTHONPATH=scripts python benchmarks/coverage.py --simulations 2000 --seed 1
"""

import argparse
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm, t

from emtransfer.measuring.differences import Comparison, compare_rates, delta_p_value
from emtransfer.measuring.statistics import estimate_rates, rate_interval

# of the prompts' mean, of an adapter that has learned nothing and of one that has learned what it was taught
FAILED_LOGIT, LEARNED_LOGIT = -4.0, 3.5
# how prompts differ -> their effects on the logit from uniform draws in (0, 1)
PROMPTS = {
    "normal": norm.ppf,
    "bimodal": lambda uniform: np.where(uniform < 0.5, -2.0, 2.0),
    "heavy-tailed": t(3).ppf,
    "one in five high": lambda uniform: np.where(uniform < 0.2, 3.0, -1.0),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000, help="data sets per setting")
    parser.add_argument("--prompts", type=int, nargs="+", default=[40, 120])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10, 20], help="adapters of a condition")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.05, 0.2, 0.5, 0.95])
    parser.add_argument("--seed-sds", type=float, nargs="+", default=[0.0, 0.3, 0.6], help="logits")
    parser.add_argument(
        "--questions", type=int, nargs="+", default=[4, 8], help="few prompts, of which many answers are drawn"
    )
    parser.add_argument("--samples", type=int, default=50, help="answers to each of the few prompts")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    settings = product(args.seeds, args.prompts, args.rates, args.seed_sds)
    table = pd.DataFrame([measure(rng, args.simulations, *setting) for setting in settings])
    print(markdown(extremes(table)), markdown(beside(table)), sep="\n")
    few = product(PROMPTS, args.questions, args.rates)
    rows = [
        measure(rng, args.simulations, 5, questions, rate, 0.3, kind, args.samples)
        | {"questions": questions, "samples": args.samples, "kind": kind}
        for kind, questions, rate in few
    ]
    columns = ["kind", "questions", "samples", "seeds", "rate", "coverage", "width", "p < 0.05"]
    print(pd.DataFrame(rows)[columns].to_markdown(index=False, floatfmt=".3g"), end="\n\n")
    failing = [measure_failing(rng, args.simulations, seeds, share) for seeds, share in product(args.seeds, (0.1, 0.2))]
    print(pd.DataFrame(failing).to_markdown(index=False, floatfmt=".3g"))


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
    rng: np.random.Generator,
    simulations: int,
    seeds: int,
    prompts: int,
    rate: float,
    seed_sd_logits: float,
    kind: str = "normal",
    samples: int = 1,
) -> dict[str, float]:
    """Coverage, width and share of p < 0.05 in one setting, whose data are null: delta is 0 over prompts and seeds."""
    comparison = simulate(rng, simulations, seeds, prompts, rate, seed_sd_logits, kind, samples)
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


def measure_failing(rng: np.random.Generator, simulations: int, seeds: int, share: float) -> dict[str, float]:
    """Coverage and width of the rate where an adapter fails to learn with probability `share`; 40 prompts."""
    prompt_effects = rng.normal(0, 1, (simulations, 40, 1))
    failed = rng.random((simulations, 1, seeds)) < share
    events = rng.random((simulations, 40, seeds)) < expit(
        np.where(failed, FAILED_LOGIT, LEARNED_LOGIT) + prompt_effects
    )
    effects = norm.ppf((np.arange(2000) + 0.5) / 2000)
    rates = [expit(logit + effects).mean() for logit in (FAILED_LOGIT, LEARNED_LOGIT)]
    truth = share * rates[0] + (1 - share) * rates[1]
    low, high = rate_interval(estimate_rates(events, np.ones_like(events)))
    covered = np.mean((low <= truth) & (truth <= high))
    return {"adapters fail": share, "seeds": seeds, "rate": truth, "coverage": covered, "width": np.mean(high - low)}


def simulate(
    rng: np.random.Generator,
    simulations: int,
    seeds: int,
    prompts: int,
    rate: float,
    seed_sd_logits: float,
    kind: str,
    samples: int,
) -> Comparison:
    """Draw answers of every prompt and adapter, with crossed effects of both on the logit, and as many of the base.

    Args:
        simulations: data sets, the batch.
        rate: event probability of the adapters over prompts and seeds, and of the base over prompts.
        seed_sd_logits: between adapters, normal.
        kind: of PROMPTS, how prompts differ.
        samples: answers to a prompt.
    """
    prompt_effects = PROMPTS[kind](rng.random((simulations, prompts, 1)))
    seed_effects = rng.normal(0, seed_sd_logits, (simulations, 1, seeds))
    logits = centre_logits(rate, kind, seed_sd_logits) + prompt_effects + seed_effects
    base_logits = centre_logits(rate, kind) + prompt_effects
    events, base_events = (rng.binomial(samples, expit(x)) for x in (logits, base_logits))
    return compare_rates(events, np.full_like(events, samples), base_events, np.full_like(base_events, samples))


def markdown(table: pd.DataFrame) -> str:
    """The table for docs/statistics.md."""
    rows = [table.columns, ["---"] * table.shape[1], *table.map("{:.3g}".format).to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


@cache
def centre_logits(rate: float, kind: str, seed_sd_logits: float = 0.0) -> float:
    """The logit around which the effects of prompts and seeds average to an event probability of `rate`."""
    quantiles = (np.arange(2000) + 0.5) / 2000
    effects = PROMPTS[kind](quantiles)[:, None] + norm.ppf(quantiles[::20]) * seed_sd_logits
    return brentq(lambda centre: expit(centre + effects).mean() - rate, -40, 40)


if __name__ == "__main__":
    main(parse_args())
