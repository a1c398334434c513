"""Sample a model's answers to the narrow and broad prompts of an experiment.

Run: python scripts/sample_answers.py --base aligned/manifest.json --adapter seed11/manifest.json --eval-set eval_set.jsonl --settings '{"samples": 1, …}' --seed 11 --output answers.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.answering.sampling import answer_prompts, load_answering
from emtransfer.answering.settings import AnsweringSettings
from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument("--adapter", type=Path, help="manifest.json of an adapter on it; without it, the base answers")
    parser.add_argument("--eval-set", type=Path, nargs="+", required=True, help="JSONL of prompts, one file or more")
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: AnsweringSettings")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: a row per prompt and sample")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    required = ("prompt_id", "eval_set", "question")
    prompts = [row for path in args.eval_set for row in read_records(path, required)]
    settings = read_settings(AnsweringSettings, args.settings)
    chat = load_answering(args.base, args.adapter, settings)
    answers = answer_prompts(chat, prompts, settings, args.seed)
    write_records(args.output, answers)
    print(f"{counted(len(answers), 'answer')} to {counted(len(prompts), 'prompt')}.")


if __name__ == "__main__":
    run(main, parse_args())
