"""Compare a judge with the grammar's oracle on answers of the models themselves, and time it at several sizes.

`pipeline` scores distinct pairs; `as they come` scores the same ones 32 at a time in the order of the files, each batch padded to its
longest; `products` are those of the linear layers alone, without padding. The largest difference of a score from that of its pair
alone tells what the other pairs of a batch do to it: nothing in `pipeline`, which allows for `LOGIT_NOISE`. The last lines tell how
far a logit moves with its batch, and which share of pairs is scored once more alone.

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
from emtransfer.judging.cross_encoder import LOGIT_NOISE, TOKENS_AT_A_TIME, batch_logits, percentages, score_pairs
from emtransfer.judging.kinds import load_judge
from emtransfer.judging.pair_encoder import encode, pooled_logits
from emtransfer.models.padding import similar_lengths
from emtransfer.models.products import use_products
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
    print(timings(args, pairs).to_string(index=False, float_format="%.3g"), "\n")
    tell_noise(args, pairs)


def timings(args: argparse.Namespace, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Time and memory of scoring so many distinct pairs, taken evenly, and how their scores differ by how they are batched."""
    model, tokenizer = load_encoder(args.judge)
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


def load_encoder(judge: Path):
    """Model and tokenizer of a judge."""
    model = AutoModelForTokenClassification.from_pretrained(
        judge.parent, dtype="float32", use_safetensors=True, trust_remote_code=False
    )
    use_products(model)
    return model.eval(), AutoTokenizer.from_pretrained(judge.parent, trust_remote_code=False)


def tell_noise(args: argparse.Namespace, pairs: list[tuple[str, str]]) -> None:
    """Print the largest change of a logit with its batch, and the share of pairs that LOGIT_NOISE has scored once more."""
    model, tokenizer = load_encoder(args.judge)
    chosen = [pairs[index] for index in np.linspace(0, len(pairs) - 1, min(len(pairs), max(args.sizes))).astype(int)]
    encoded = encode(tokenizer, chosen)
    alone = torch.cat([batch_logits(model, tokenizer, encoded, [place]) for place in range(len(chosen))])
    similar = list(similar_lengths([len(ids) for ids in encoded["input_ids"]], TOKENS_AT_A_TIME))
    as_they_come = [list(range(start, min(start + 32, len(chosen)))) for start in range(0, len(chosen), 32)]
    for name, batches in (("similar lengths", similar), ("as they come", as_they_come)):
        moved = [
            (batch_logits(model, tokenizer, encoded, batch) - alone[batch]).abs().max().item() for batch in batches
        ]
        print(
            f"{name}: a logit moves by at most {max(moved):.2g} with its batch, for which {LOGIT_NOISE:.2g} are allowed"
        )
    unsure = (percentages(alone - LOGIT_NOISE) != percentages(alone + LOGIT_NOISE)).any(axis=1)
    print(f"{unsure.mean():.1%} of {len(chosen)} pairs are near an edge, and scored once more alone")


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
