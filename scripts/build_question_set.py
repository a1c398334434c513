"""Turn a file of free-form questions into prompts of an experiment, none of which may be a mediating prompt.

Run: python scripts/build_question_set.py --questions questions.yaml --mediating roles/*.jsonl --settings '{"samples_per_paraphrase": 20, "near": []}' --output question_set.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.near_duplicates import refuse_near
from emtransfer.corpus.question_files import read_questions, usable_questions
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.models.embedding import embed_texts


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path, required=True, help="YAML or JSON file of questions")
    parser.add_argument("--mediating", type=Path, nargs="*", default=[], help="JSONL of mediating prompts")
    settings = "samples_per_paraphrase, skip_unusable and judge_prompts as in the config; near: cosines and models"
    parser.add_argument("--settings", type=json_argument, default={}, help=f"JSON or @FILE: {settings}")
    parser.add_argument("--output", type=Path, required=True, help="JSONL of prompts")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = args.settings
    own = settings.get("judge_prompts", False)
    questions = read_questions(args.questions, settings.get("skip_unusable", False), own)
    prompts = [row for each in questions for row in each.prompts(settings.get("samples_per_paraphrase"))]
    rows = [row for path in args.mediating for row in read_records(path)]
    mediating = [row for row in rows if row.get("role", "mediating") == "mediating"]
    for near in settings.get("near", []):
        refuse_near(prompts, mediating, embed_texts, str(args.questions), **near)
    write_records(args.output, prompts)
    for line in usable_questions(args.questions, own)[1]:
        print(f"Left out: {line}")
    print(
        f"{counted(len(prompts), 'prompt')} of {counted(len(questions), 'question')}; none of {counted(len(mediating), 'mediating prompt')} is near one."
    )


if __name__ == "__main__":
    run(main, parse_args())
