"""Plot the claims of an experiment as a forest plot, in every format that an output's suffix names.

Run: python scripts/plot_claims.py --experiment template_nl --judge minilm --claims claims.csv --effects effects.csv --power power.csv --output claims.svg
"""

import argparse
from pathlib import Path

from emtransfer.drawing.forest import claims_forest
from emtransfer.drawing.rates import read_claim_table
from emtransfer.drawing.style import save
from emtransfer.errors import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--judge", required=True, help="name of the judge whose verdicts are plotted")
    parser.add_argument("--claims", type=Path, required=True, help="CSV of test_claims")
    parser.add_argument("--effects", type=Path, required=True, help="CSV of test_claims")
    parser.add_argument("--power", type=Path, required=True, help="CSV of test_claims")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files ending in .svg, .pdf or .png")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    claims, effects, power = (read_claim_table(path) for path in (args.claims, args.effects, args.power))
    save(claims_forest(claims, effects, power, args.experiment, args.judge), args.output)


if __name__ == "__main__":
    run(main, parse_args())
