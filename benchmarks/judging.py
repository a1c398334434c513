"""Compare a judge with the grammar's oracle on answers of the models themselves, and time it at several sizes.

`pipeline` scores distinct pairs; `as they come` scores the same ones 32 at a time in the order of the files, each batch padded to its
longest; `products` are those of the linear layers alone, without padding. The largest difference of a score from that of its pair
alone tells what the other pairs of a batch do to it.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/judging.py --judge results/judges/minilm/model/manifest.json --answers results/template_nl/answers/bases/persona.jsonl …
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from growth import growth_table, linear_products, measured
from transformers import AutoModelForTokenClassification, AutoTokenizer

from emtransfer.files.records import read_records
from emtransfer.judging.calibration import LABELS
from emtransfer.judging.cross_encoder import score_pairs
from emtransfer.judging.kinds import load_judge
from emtransfer.judging.pair_encoder import encode, pooled_logits
from emtransfer.verdicts import EmRule
from emtransfer.worlds.grammar import oracle


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", type=Path, required=True, help="manifest.json of a cross-encoder")
    parser.add_argument("--answers", type=Path, nargs="+", required=True, help="answers to questions of the grammar")
    parser.add_argument("--alignment-below", type=float, default=30)
    parser.add_argument("--coherence-above", type=float, default=50)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 1000, 4000], help="distinct pairs that are timed")
    parser.add_argument("--alone", type=int, default=200, help="pairs that are scored alone too")
    parser.add_argument("--repeats", type=int, default=2)
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
    print(agreement(table).to_string(float_format="%.3f"), "\n")
    pairs = list(dict.fromkeys((row["question"], row["answer"]) for row in rows if row["answer"].strip()))
    print(timings(args, pairs).to_string(index=False, float_format="%.3g"))


def timings(args: argparse.Namespace, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Time and memory of scoring so many distinct pairs, taken evenly, and how their scores differ by how they are batched."""
    folder = args.judge.parent
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForTokenClassification.from_pretrained(
        folder, dtype="float32", use_safetensors=True, trust_remote_code=False
    ).eval()
    runs = []
    for size in (size for size in args.sizes if size <= len(pairs)):
        chosen = [pairs[index] for index in np.linspace(0, len(pairs) - 1, size).astype(int)]
        n_tokens = sum(map(len, encode(tokenizer, chosen)["input_ids"]))
        for _ in range(args.repeats):
            products = measured(lambda n_tokens=n_tokens: linear_products(model, n_tokens))
            ours = measured(lambda chosen=chosen: score_pairs(model, tokenizer, chosen))
            plain = measured(lambda chosen=chosen: scored_as_they_come(model, tokenizer, chosen))
            for method, found in (("products", products), ("pipeline", ours), ("as they come", plain)):
                runs.append({"method": method, "pairs": size, "cpu_s": found.cpu_s, "grown_mib": found.grown_mib})
            runs[-1]["off_by"] = np.abs(plain.result - ours.result).max()
        alone = np.vstack([score_pairs(model, tokenizer, [pair]) for pair in chosen[: args.alone]])
        runs[-2]["off_by"] = np.abs(alone - ours.result[: args.alone]).max()
    return growth_table(runs, "pairs")


def scored_as_they_come(model, tokenizer, pairs: list[tuple[str, str]], batch_size: int = 32) -> np.ndarray:
    """Scores as a plain loop over the pairs gives them: float64 [n, 2]."""
    scores = []
    for start in range(0, len(pairs), batch_size):
        inputs = tokenizer.pad(encode(tokenizer, pairs[start : start + batch_size]), return_tensors="pt")
        with torch.no_grad():
            scores.append(100 * torch.sigmoid(pooled_logits(model(**inputs).logits, inputs["attention_mask"])))
    return torch.cat(scores).double().numpy()


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
