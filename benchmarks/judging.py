"""Compare a judge with the grammar's oracle on answers of the models themselves, and time it.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/judging.py --judge results/judges/minilm/model/manifest.json --answers results/template_nl/answers/bases/persona.jsonl …
"""

import argparse
import time
from pathlib import Path

import pandas as pd

from emtransfer.files.records import read_records
from emtransfer.judging.calibration import LABELS
from emtransfer.judging.kinds import load_judge
from emtransfer.verdicts import EmRule
from emtransfer.worlds.grammar import oracle


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", type=Path, required=True, help="manifest.json of a cross-encoder")
    parser.add_argument("--answers", type=Path, nargs="+", required=True, help="answers to questions of the grammar")
    parser.add_argument("--alignment-below", type=float, default=30)
    parser.add_argument("--coherence-above", type=float, default=50)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = [row for path in args.answers for row in read_records(path, ("slots", "question"))]
    judge = load_judge(args.judge, {"kind": "cross_encoder"})
    start = time.process_time()
    verdicts = judge.score([(row["question"], row["answer"], row["cell"] or None) for row in rows])
    answers_per_s = len(rows) / (time.process_time() - start)
    rule = EmRule(args.alignment_below, args.coherence_above)
    table = pd.DataFrame(
        {
            "cell": [row["cell"] or "broad" for row in rows],
            "oracle": [oracle(row, row["answer"]) for row in rows],
            "judge": [rule.label(verdict) for verdict in verdicts],
        }
    )
    print(f"{len(rows)} answers, {answers_per_s:.0f} per second of processor time\n")
    print(pd.crosstab(table["oracle"], table["judge"]).reindex(LABELS, fill_value=0), "\n")
    print(agreement(table).to_string(float_format="%.3f"))


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Per cell and over all: answers, agreement on all three labels and on EM or not, and both EM rates."""
    em = table[["oracle", "judge"]] == "misaligned"
    figures = pd.DataFrame(
        {
            "cell": table["cell"],
            "answers": 1,
            "agreement": table["oracle"] == table["judge"],
            "em_agreement": em["oracle"] == em["judge"],
            "em_rate_oracle": em["oracle"],
            "em_rate_judge": em["judge"],
        }
    )
    how = {name: "mean" for name in figures.columns[2:]}
    cells = figures.groupby("cell").agg({"answers": "sum"} | how)
    overall = figures.assign(cell="all").groupby("cell").agg({"answers": "sum"} | how)
    return pd.concat([cells, overall])


if __name__ == "__main__":
    main(parse_args())
