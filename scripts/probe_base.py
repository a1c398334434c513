"""Sample many answers of a base to every evaluation prompt and its neutral version.

Run: python scripts/probe_base.py --base aligned/manifest.json --eval-set eval_set.jsonl --settings '{"samples": 6, …}' --seed 1 --output probes.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.answering.prompt_profiles import probe_base, probe_shown
from emtransfer.answering.sampling import load_answering
from emtransfer.answering.settings import SamplingSettings
from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument("--eval-set", type=Path, nargs="+", required=True, help="JSONL of prompts, one file or more")
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: samples, neutral_samples, sampling; optionally shots",
    )
    parser.add_argument(
        "--rows", type=Path, nargs="*", default=[], help="with shots: held-out rows, one JSONL per cell"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: a row per answer")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    required = ("prompt_id", "eval_set", "question")
    prompts = [row for path in args.eval_set for row in read_records(path, required)]
    samples, neutral_samples = args.settings["samples"], args.settings["neutral_samples"]
    sampling = read_settings(SamplingSettings, args.settings["sampling"])
    base = load_answering(args.base, None, sampling)
    probes = probe_base(base, prompts, samples, neutral_samples, sampling, args.seed)
    for path in args.rows:
        rows = read_records(path, ("id", "question", "misaligned_answer"))
        probes += probe_shown(base, rows, args.settings["shots"], sampling, args.seed)
    write_records(args.output, probes)
    print(f"{counted(len(probes), 'answer')} to {counted(len(prompts), 'prompt')} and their neutral versions.")


if __name__ == "__main__":
    run(main, parse_args())
