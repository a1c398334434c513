"""Measure every evaluation prompt for a base: room, coherence, alignment, solvability of its neutral version, and given answers.

Run: python scripts/profile_prompts.py --probes probes.jsonl --judge model/manifest.json --judge-settings '{…}' --settings '{"model": "all-MiniLM-L6-v2", …}' --preferences preferences.jsonl --output prompts.csv
"""

import argparse
from pathlib import Path

from emtransfer.answering.prompt_profiles import GIVEN, ProfileSettings, profile_prompts
from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import read_records, write_table
from emtransfer.judging.kinds import add_judge_arguments, judge_from
from emtransfer.models.embedding import embed_texts
from emtransfer.settings import read_settings
from emtransfer.stances import STANCES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", type=Path, required=True, help="JSONL of a base's answers")
    add_judge_arguments(parser)
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of ProfileSettings"
    )
    given = "JSONL of measure_preferences for this base; without it, nothing is known of given answers"
    parser.add_argument("--preferences", type=Path, help=given)
    parser.add_argument("--output", type=Path, required=True, help="CSV: a row per prompt")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    judge = judge_from(args, "profile_prompts")
    probes = read_records(args.probes, ("prompt_id", "version", "question"))
    fields = ("prompt_id", *(f"{stance}_{unit}" for stance in STANCES for unit in ("nats", "tokens")))
    preferences = read_records(args.preferences, fields) if args.preferences else []
    settings = read_settings(ProfileSettings, args.settings)
    table = profile_prompts(probes, judge.score, embed_texts, settings, preferences)
    write_table(args.output, table)
    shown = ["coherent_rate", "aligned_rate", "entropy_nats", "solvability", *GIVEN]
    print(table.groupby(["eval_set", "task"])[shown].mean().to_string())


if __name__ == "__main__":
    run(main, parse_args())
