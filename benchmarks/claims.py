"""Simulate contrasts where the truth is no difference, and print how often p < 0.05 and what intervals cover; then power.

The worlds are those of claim_worlds.py and shift_worlds.py, whose docstrings say how each is drawn.

Run: PYTHONPATH=scripts python benchmarks/claims.py --simulations 2000 --seed 1
"""

import argparse

import numpy as np
import pandas as pd
from claim_worlds import Result, World, worlds
from shift_worlds import shift_worlds

BATCH = 50


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000, help="data sets per setting")
    parser.add_argument("--only", default="", help="worlds whose name contains this")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = []
    for world in (*worlds(), *shift_worlds()):
        if args.only in world.null:
            # a world's draws do not depend on which others are simulated
            rng = np.random.default_rng([args.seed, *world.null.encode(), *world.setting.encode()])
            rows.append({"null": world.null, "setting": world.setting} | shares(rng, world, args.simulations))
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3f"))


def shares(rng: np.random.Generator, world: World, simulations: int) -> dict[str, float]:
    """How often p claims a difference, how often the interval holds the true one, and its width."""
    sizes = [min(BATCH, simulations - done) for done in range(0, simulations, BATCH)]
    found = [world.measure(world.draw(rng, size)) for size in sizes]
    result = Result(*(np.concatenate(values) for values in zip(*found, strict=True)))
    return {
        "p < 0.05": np.mean(result.p < 0.05),
        "coverage": np.mean((result.low <= world.truth + 1e-12) & (result.high >= world.truth - 1e-12)),
        "width": np.mean(result.high - result.low),
    }


if __name__ == "__main__":
    main(parse_args())
