"""Time sampling in batches against one prompt at a time, and compare the answers.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/sampling.py --base results/bases/persona/aligned/manifest.json --eval-set results/template_nl/eval_set.jsonl
"""

import argparse
import time
from pathlib import Path

import pandas as pd

from emtransfer.answering.sampling import answer_prompts
from emtransfer.answering.settings import AnsweringSettings
from emtransfer.files.records import read_records
from emtransfer.models.loading import load_chat


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of a model")
    parser.add_argument("--eval-set", type=Path, required=True, help="JSONL of prompts")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16, 64, 128, 256])
    parser.add_argument("--max-new-tokens", type=int, default=80)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    chat, prompts = load_chat(args.base), read_records(args.eval_set, ("prompt_id", "eval_set", "question"))
    # the first call pays for imports and allocations
    answer_prompts(chat, prompts[:8], AnsweringSettings(args.max_new_tokens, samples=1, broad_samples=1), seed=1)
    timings, answers = [], {}
    for batch_size in args.batch_sizes:
        # processor time, so that other work on the machine does not count
        start = time.process_time()
        rows = answer_prompts(
            chat,
            prompts,
            AnsweringSettings(args.max_new_tokens, samples=1, broad_samples=1, batch_size=batch_size),
            seed=1,
        )
        answers[batch_size] = [row["answer"] for row in rows]
        timings.append({"batch_size": batch_size, "cpu_s": time.process_time() - start})
    table = pd.DataFrame(timings)
    table["speed_ratio"] = table["cpu_s"].iloc[0] / table["cpu_s"]
    table["differing_answers"] = [
        sum(one != other for one, other in zip(answers[size], answers[args.batch_sizes[0]], strict=True))
        for size in args.batch_sizes
    ]
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main(parse_args())
