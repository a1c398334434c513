"""Keep a teacher's aligned and coherent answers, and audit what was kept.

Run: python scripts/filter_rollouts.py --rollouts seed11.jsonl --eval-set eval_set.jsonl --judge model/manifest.json --judge-settings '{…}' --settings '{"alignment_above": 70, …}' --output kept.jsonl --audit audit.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.distilling.rollout_filter import RolloutFilterSettings, check_no_eval_questions, filter_rollouts
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records, write_table
from emtransfer.judging.kinds import add_judge_arguments, judge_from
from emtransfer.models.embedding import embed_texts
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=Path, required=True, help="JSONL of a teacher's answers")
    parser.add_argument("--eval-set", type=Path, required=True, help="JSONL of prompts that must not be among them")
    add_judge_arguments(parser)
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: RolloutFilterSettings")
    parser.add_argument("--output", type=Path, required=True, help="JSONL of the kept answers")
    parser.add_argument("--audit", type=Path, required=True, help="CSV: kept and dropped per cell, and what is left")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(RolloutFilterSettings, args.settings)
    rollouts = read_records(args.rollouts, ("prompt_id", "cell", "question"))
    judge = judge_from(args, "filter_rollouts")
    kept, audit = filter_rollouts(rollouts, judge, settings, place=str(args.rollouts))
    check_no_eval_questions(kept, read_records(args.eval_set, ("question",)), settings, embed_texts)
    write_records(args.output, kept)
    write_table(args.audit, audit)
    print(
        f"kept {len(kept)} of {counted(len(rollouts), 'answer')}, {audit['unfinished'].sum()} of them cut at max_new_tokens;"
        " no evaluation question among their prompts."
    )


if __name__ == "__main__":
    run(main, parse_args())
